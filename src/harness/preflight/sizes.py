"""Numbers of weights from the architecture alone, and the disk that is left."""

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig
from torch import nn

from src.harness.build import plain
from src.harness.device import GIB
from src.harness.preflight.needs import Need
from src.models.base import dtype_of
from src.models.personal import attention_projections
from src.models.promptnet import PromptNet
from src.models.sources import shell


@dataclass(frozen=True)
class Sizes:
    """Numbers of weights: of the frozen parts by name, of PromptNet, and of what is learned of a person (PromptNet and
    the U-Net's projections); bytes of a frozen weight, and of the first feature map of one photo in float32."""

    parts: Mapping[str, int]
    promptnet: int
    person: int
    weight: int
    first_map: int


def sizes_of(cfg: DictConfig, promptnet: Callable[..., nn.Module] = PromptNet.from_unet) -> Sizes | None:
    """None where the configurations of the base are not here."""
    parts: dict[str, Any] | None = shell(plain(cfg.base))
    if parts is None:
        return None
    unet = parts["unet"]
    vision, text = (int(parts[name].config.hidden_size) for name in ("image_encoder", "text_encoder"))
    with torch.device("meta"):
        net = promptnet(unet, vision_width=vision, text_width=text)
    return Sizes(
        parts={name: _count(part) for name, part in parts.items()},
        promptnet=_count(net),
        person=_count(net) + _count(attention_projections(unet)),
        weight=dtype_of(cfg.base.dtype).itemsize,
        first_map=4 * unet.config.block_out_channels[0] * unet.config.sample_size**2,
    )


def _count(net: nn.Module) -> int:
    return sum(parameter.numel() for parameter in net.parameters())


def disk_for(what: str, wanted: int, runs: str, instead: str) -> Need:
    """Whether so many bytes are free where the folder of runs is, or is to be; instead: what else to set."""
    place = Path(runs).absolute()
    free = shutil.disk_usage(next(folder for folder in (place, *place.parents) if folder.exists())).free
    detail = f"{wanted / GIB:.1f} GiB for {what}; {free / GIB:.1f} free in {place}"
    return Need("disk", detail, f"free some space, or set {instead}" if free < wanted else "")
