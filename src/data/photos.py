"""Photos from files: [3, H, W] in [-1, 1]."""

import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor
from torch.utils.data import Dataset

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
DAMAGE = (OSError, SyntaxError, ValueError, struct.error)  # what Pillow's plugins raise over a file they cannot decode


def read_photo(path: str | Path, size: int) -> Tensor:
    """A photo as [3, size, size] in [-1, 1]: turned as its EXIF says, cut to its central square, resized (bicubic).

    Raises FileNotFoundError where there is none, and ValueError for what cannot be read as an image.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"photo {path} does not exist: give the path of an image file")
    try:
        with Image.open(path) as picture:
            square = ImageOps.exif_transpose(picture).convert("RGB")
    except Image.DecompressionBombError as error:
        raise ValueError(f"photo {path} is too large to be read ({error}): give a smaller copy of it") from error
    except DAMAGE as error:
        raise ValueError(
            f"photo {path} cannot be read as an image ({error}): it is truncated or no image; give another file"
        ) from error
    square = ImageOps.fit(square, (size, size), Image.Resampling.BICUBIC)
    return torch.from_numpy(np.array(square)).permute(2, 0, 1).float() / 127.5 - 1


class PhotoFolder(Dataset[Tensor]):
    """Photos below a folder in the order of their paths: all, or `count` from number `first` on, as [3, size, size].

    Raises FileNotFoundError for a folder without photos, and ValueError where there are fewer than asked for.
    """

    def __init__(self, folder: str | Path, *, size: int, first: int = 0, count: int | None = None):
        paths = sorted(p for p in Path(folder).rglob("*") if p.suffix.lower() in SUFFIXES)
        if not paths:
            raise FileNotFoundError(f"no photos ({', '.join(SUFFIXES)}) below {folder}: give another data.folder")
        last = len(paths) if count is None else first + count
        if not 0 <= first < last <= len(paths):
            raise ValueError(
                f"first ({first}) and count ({count}) must choose from the {len(paths)} photos below {folder}"
            )
        self.paths, self.size = paths[first:last], size

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
