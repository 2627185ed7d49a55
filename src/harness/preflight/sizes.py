"""Numbers of weights from the architecture alone, and the disk that is left."""

import shutil
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig
from torch import nn

from src.harness.build import plain
from src.harness.device import GIB
from src.harness.preflight.needs import Need
from src.models.base import dtype_of
from src.models.sources import numbers_of, shell


@dataclass(frozen=True)
class Sizes:
    """What a base is before any of it is loaded: its networks on the meta device, in its precision.

    parts: by name. first_map: bytes of the first feature map of one photo in float32.
    """

    parts: Mapping[str, nn.Module]
    first_map: int

    @property
    def weight(self) -> int:
        """Bytes of a weight."""
        return self.parts["unet"].dtype.itemsize  # type: ignore[union-attr,return-value]

    def frozen(self, away: Collection[str] = ()) -> int:
        """Bytes of all weights but those of the parts that are elsewhere."""
        return numbers_of(*(part for name, part in self.parts.items() if name not in away)) * self.weight


def sizes_of(cfg: DictConfig) -> Sizes | None:
    """None where the configurations of the base are not here."""
    parts: dict[str, Any] | None = shell(plain(cfg.base))
    if parts is None:
        return None
    config = parts["unet"].config
    return Sizes(
        parts={name: part.to(dtype_of(cfg.base.dtype)) for name, part in parts.items()},
        first_map=4 * config.block_out_channels[0] * config.sample_size**2,
    )


def disk_for(what: str, wanted: int, runs: str, instead: str) -> Need:
    """Whether so many bytes are free where the folder of runs is, or is to be; instead: what else to set."""
    place = Path(runs).absolute()
    free = shutil.disk_usage(next(folder for folder in (place, *place.parents) if folder.exists())).free
    detail = f"{wanted / GIB:.1f} GiB for {what}; {free / GIB:.1f} free in {place}"
    return Need("disk", detail, f"free some space, or set {instead}" if free < wanted else "")
