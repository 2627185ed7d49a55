"""What every method of personalisation is."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from torch import Tensor

from src.models.base import TextToImage

# (a prompt with S*, or one for each seed; seeds) -> images [len(seeds), 3, H, W] in [-1, 1]; an image depends on its
# own prompt and seed alone
Generate = Callable[[str | Sequence[str], Sequence[int]], Tensor]


class Method(Protocol):
    """Learns a person from photos [P, 3, H, W] in [-1, 1] and returns a generator of images of that person."""

    def learn(self, base: TextToImage, photos: Tensor, keep: Path | None = None) -> Generate:
        """`keep`: a file for what was learned; if it is there already, it is read instead of learning again."""
        ...
