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
from src.models.base import dtype_of
from src.models.personal import attention_projections
from src.models.promptnet import PromptNet
from src.models.sources import shell


@dataclass(frozen=True)
class Sizes:
    """Numbers of weights: of the frozen parts by name, of PromptNet and of the U-Net's projections; bytes of a frozen
    weight, and of the first feature map of one photo in float32."""

    parts: Mapping[str, int]
    promptnet: int
    projections: int
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
        projections=_count(attention_projections(unet)),
        weight=dtype_of(cfg.base.dtype).itemsize,
        first_map=4 * unet.config.block_out_channels[0] * unet.config.sample_size**2,
    )


def _count(net: nn.Module) -> int:
    return sum(parameter.numel() for parameter in net.parameters())


def free_disk(runs: Path) -> int:
    """Bytes free where this folder is, or is to be."""
    runs = runs.absolute()
    return shutil.disk_usage(next(folder for folder in (runs, *runs.parents) if folder.exists())).free
