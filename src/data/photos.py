"""Photos from files: [3, H, W] in [-1, 1]."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor
from torch.utils.data import Dataset

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")


def read_photo(path: str | Path, size: int) -> Tensor:
    """A photo as [3, size, size] in [-1, 1]: turned as its EXIF says, cut to its central square, resized (bicubic).

    Raises FileNotFoundError where there is none, and ValueError for what cannot be read as an image.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"photo {path} does not exist: give the path of an image file")
    try:
        with Image.open(path) as picture:
            square = ImageOps.exif_transpose(picture).convert("RGB")
    except (UnidentifiedImageError, OSError, SyntaxError) as error:
        raise ValueError(
            f"photo {path} cannot be read as an image ({error}): it is truncated or no image; give another file"
        ) from error
    square = ImageOps.fit(square, (size, size), Image.Resampling.BICUBIC)
    return torch.from_numpy(np.array(square)).permute(2, 0, 1).float() / 127.5 - 1


class PhotoFolder(Dataset[Tensor]):
    """All photos below a folder, in the order of their paths."""

    def __init__(self, folder: str | Path, *, size: int):
        self.paths = sorted(p for p in Path(folder).rglob("*") if p.suffix.lower() in SUFFIXES)
        self.size = size
        if not self.paths:
            raise FileNotFoundError(f"no photos ({', '.join(SUFFIXES)}) below {folder}: give another data.folder")

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Tensor:
        return read_photo(self.paths[index], self.size)


def read_photos(paths: str | Path | Sequence[str | Path], size: int) -> Tensor:
    """One photo or several of one person: [P, 3, size, size]."""
    several = [paths] if isinstance(paths, (str, Path)) else list(paths)
    if not several:
        raise ValueError("photo ([]) is empty: give at least one path")
    return torch.stack([read_photo(path, size) for path in several])
