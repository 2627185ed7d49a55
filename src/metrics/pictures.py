"""Pictures as the judges get them: uint8 [3, H, W], each file decoded once, known by the SHA-256 of its bytes."""

import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from src.files.pictures import DAMAGE, decode_picture
from src.files.whole import sha256_of

ROOM = 4 << 30  # bytes of decoded pictures held at a time


def read_picture(path: Path) -> Tensor:
    """A picture file -> uint8 [3, H, W]; raises what `decode_picture` raises."""
    return torch.from_numpy(np.array(decode_picture(path))).permute(2, 0, 1)


class Album:
    """Picture files, known by their content. What is decoded at a time stays below `room` bytes.

    ValueError lists every file that is missing or no image.
    """

    def __init__(self, paths: Iterable[Path], *, room: int = ROOM):
        self.room, self.paths = room, list(dict.fromkeys(paths))
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            weighed = dict(zip(self.paths, pool.map(_weighed, self.paths), strict=True))
        _refuse([path for path, (size, _) in weighed.items() if size == 0])
        self.size = {path: size for path, (size, _) in weighed.items()}
        self.digest = {path: digest for path, (_, digest) in weighed.items()}

    def parts(self) -> Iterator[list[Path]]:
        """The files, one of each content, in groups that may be decoded together."""
        part: list[Path] = []
        total = 0
        for path in {self.digest[path]: path for path in reversed(self.paths)}.values():
            if part and total + self.size[path] > self.room:
                yield part
                part, total = [], 0
            part.append(path)
            total += self.size[path]
        if part:
            yield part

    def decode(self, paths: Sequence[Path]) -> list[Tensor]:
        """The pictures of these files; ValueError lists every damaged one."""
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            pictures = list(pool.map(_picture_or_none, paths))
        _refuse([path for path, picture in zip(paths, pictures, strict=True) if picture is None])
        return [picture for picture in pictures if picture is not None]


def _weighed(path: Path) -> tuple[int, str]:
    """(decoded size in bytes, 0 for what is no image; SHA-256 of the file)."""
    try:
        digest = sha256_of(path)
        with Image.open(path) as image:
            return 3 * image.width * image.height, digest
    except (*DAMAGE, Image.DecompressionBombError):
        return 0, ""


def _picture_or_none(path: Path) -> Tensor | None:
    try:
        return read_picture(path)
    except (ValueError, FileNotFoundError):
        return None


def _refuse(damaged: Sequence[Path]) -> None:
    if damaged:
        names = ", ".join(str(path) for path in damaged)
        raise ValueError(
            f"{len(damaged)} image(s) are missing, damaged, of several frames or no images: {names}; make them again, "
            "or remove them and their rows"
        )


def stacks(pictures: Sequence[Tensor]) -> Iterator[Tensor]:
    """Neighbours of one size as one tensor [B, 3, H, W], in order."""
    for _, group in groupby(pictures, key=lambda picture: picture.shape):
        yield torch.stack(list(group))
