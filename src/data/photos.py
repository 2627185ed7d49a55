"""Photos from files: [3, H, W] in [-1, 1]."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor
from torch.utils.data import Dataset

from src.data.photo_index import photo_index, photo_paths
from src.files.folders import tell_left_out
from src.files.pictures import decode_picture

MOST_ENLARGED = 4  # a side of less than 1/4 of the wanted size shows nobody: a 1x1 file, an icon


class Named(Protocol):
    """A data set of {"image": [3, H, W]} with a name for each."""

    names: list[str]

    def __getitem__(self, index: int) -> dict[str, Tensor]: ...


def read_photo(path: str | Path, size: int) -> Tensor:
    """A photo as [3, size, size] in [-1, 1]: its central square, resized (bicubic, antialiased), as in the paper.

    Raises what decode_picture raises, and ValueError for a photo that would have to be enlarged beyond recognition.
    """
    picture = decode_picture(path)
    problem = too_small(picture.width, picture.height, size)
    if problem:
        raise ValueError(f"photo {path} is {problem}: give a larger one")
    square = ImageOps.fit(picture, (size, size), Image.Resampling.BICUBIC)
    return torch.from_numpy(np.array(square)).permute(2, 0, 1).float() / 127.5 - 1


def too_small(width: int, height: int, size: int) -> str | None:
    """Says so where a photo is too small to be used at `size` pixels; None where it is not."""
    if MOST_ENLARGED * min(width, height) >= size:
        return None
    return f"{width}x{height}, too small for {size}x{size} pixels"


def read_photos(paths: str | Path | Sequence[str | Path], size: int) -> Tensor:
    """One photo or several of one person: [P, 3, size, size]."""
    several = [paths] if isinstance(paths, (str, Path)) else list(paths)
    if not several:
        raise ValueError("photo ([]) is empty: give at least one path")
    return torch.stack([read_photo(path, size) for path in several])


class PhotoFolder(Dataset[dict[str, Tensor]]):
    """The photos below a folder in the order of their paths, as {"image": [3, size, size]} in [-1, 1].

    FFHQ's published layout (images1024x1024/00000/00000.png ...) is such a folder, and so is any other.
    part: "all"; or, of one folder, "train" and "validation", the latter the last `held_out` (a share, at least one).
    indexes: where the folder's index is kept (see src.data.photo_index). Photos that cannot be used are left out then,
        listed beside the index, and counted; None: nothing is looked at before it is read, and a bad photo stops.
    max_bad: the share of photos that may be unusable before that is an error.
    names: of each photo, its path below the folder.
    Raises FileNotFoundError for a folder without photos, ValueError where a part would be empty or too many are bad.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        size: int,
        part: str = "all",
        held_out: float = 0.001,
        indexes: str | Path | None = None,
        max_bad: float = 0.01,
        echo: Callable[[str], None] = print,
    ):
        self.folder, self.size = Path(folder).expanduser(), size
        if indexes is None:
            names = photo_paths(self.folder)
            tell_left_out(self.folder, echo)
        else:
            index = photo_index(self.folder, Path(indexes).expanduser(), decode=decode_picture, echo=echo)
            names = index.usable(lambda width, height: too_small(width, height, size), max_bad=max_bad, echo=echo)
        self.names = part_of(names, part, held_out)

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {"image": read_photo(self.folder / self.names[index], self.size)}


def part_of(names: list[str], part: str, held_out: float) -> list[str]:
    """All names, or those for training, or the last ones, held out for validation. ValueError for an empty part."""
    if part not in ("all", "train", "validation"):
        raise ValueError(f"part ({part}) must be all, train or validation")
    if not 0 < held_out < 1:
        raise ValueError(f"held_out ({held_out}) must be in (0, 1): the share of photos kept for validation")
    first = len(names) - max(1, round(held_out * len(names)))
    chosen = {"all": names, "train": names[:first], "validation": names[first:]}[part]
    if not chosen:
        raise ValueError(f"{len(names)} photo leaves none for part {part}: give at least 2")
    return chosen
