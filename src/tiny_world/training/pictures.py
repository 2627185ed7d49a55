"""Rendered training pictures and what is said of them, kept on disk: drawn once, and held where they are used."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from src.runs.store import to_picture
from src.tiny_world.photos import TinyPhotos
from src.tiny_world.renderer.captions import caption
from src.tiny_world.renderer.drawing import draw
from src.tiny_world.renderer.people import person_from
from src.tiny_world.renderer.scenes import SIZE, Scene, scene_for

TRAINING_PICTURES: dict[str, Any] = {"first": 0, "count": 50_000}  # of the autoencoder and the image encoder


class Pictures:
    """`count` pictures of the people from `first` on, `per_person` each; drawn on first use into `folder`.

    device: where images and masks come out; a GPU holds all pictures, the CPU maps the file.
    """

    def __init__(
        self,
        folder: Path,
        *,
        first: int,
        count: int,
        per_person: int = 1,
        style: str | None = None,
        device: torch.device | str = "cpu",
    ):
        self.first, self.count, self.per_person, self.style = first, count, per_person, style
        self.key = f"{first}-{count}-{per_person}-{style or 'any'}"
        path = folder / f"pictures-{self.key}.npy"
        self.data = kept_rows(path, self._picture, count, (SIZE, SIZE, 4), np.uint8, device)

    def person_of(self, index: int) -> int:
        return self.first + index // self.per_person

    def scene_of(self, index: int) -> Scene:
        return scene_for(self.first * 31 + index, style=self.style)

    def _picture(self, index: int) -> np.ndarray:
        """uint8 [64, 64, 4]: the picture and its mask."""
        picture, mask = draw(person_from(self.person_of(index)), self.scene_of(index))
        return np.dstack([picture, mask])

    def images(self, indices: Sequence[int] | Tensor) -> Tensor:
        """[B, 3, 64, 64] in [-1, 1]."""
        return self._rows(indices)[..., :3].movedim(-1, 1).float() / 127.5 - 1

    def masks(self, indices: Sequence[int] | Tensor) -> Tensor:
        """[B, 1, 64, 64] in [0, 1], 1 on the subject."""
        return self._rows(indices)[..., 3:].movedim(-1, 1).float() / 255

    def _rows(self, indices: Sequence[int] | Tensor) -> Tensor:
        return self.data[torch.as_tensor(indices).to(self.data.device)]

    def captions(self, indices: Sequence[int] | Tensor, seed: int) -> list[str]:
        """A new wording for every (picture, seed)."""
        numbers = torch.as_tensor(indices).tolist()
        return [caption(self.scene_of(i), np.random.default_rng([i, seed])) for i in numbers]


class KeptPhotos(Dataset[dict[str, Tensor]]):
    """The very items of TinyPhotos(split, count=count), drawn by all cores on first use into `folder`."""

    def __init__(self, folder: Path, split: str, *, count: int):
        photos = TinyPhotos(split, count=count)
        self.names, path = photos.names, folder / f"photos-{split}-{count}.npy"
        self.data = kept_rows(path, lambda k: to_picture(photos[k]["image"]), count, (SIZE, SIZE, 3), np.uint8, "cpu")

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {"image": self.data[index].permute(2, 0, 1).float() / 127.5 - 1}


class Irises:
    """Where the irises are in the first `count` pictures; drawn on first use into `folder`."""

    def __init__(self, folder: Path, pictures: Pictures, *, count: int):
        self.pictures, self.count = pictures, count
        path = folder / f"irises-{pictures.first}-{count}.npy"
        self.data = kept_rows(path, self._iris, count, (SIZE, SIZE, 1), np.uint8, pictures.data.device)

    def _iris(self, index: int) -> np.ndarray:
        """uint8 [64, 64, 1]: what changes between white irises and black ones, so hair and sunglasses hide it."""
        person, scene = person_from(self.pictures.person_of(index)), self.pictures.scene_of(index)
        white, black = (draw(replace(person, iris=(value,) * 3), scene)[0].astype(np.int16) for value in (255, 0))
        return np.abs(white - black).max(-1, keepdims=True).astype(np.uint8)

    def masks(self, indices: Sequence[int] | Tensor) -> Tensor:
        """[B, 1, 64, 64] in [0, 1], 1 where there is nothing but iris."""
        return self.data[torch.as_tensor(indices).to(self.data.device)].movedim(-1, 1).float() / 255


def kept_rows(
    path: Path,
    row: Callable[[int], np.ndarray],
    count: int,
    shape: tuple[int, ...],
    dtype: type[np.generic],
    device: torch.device | str,
) -> Tensor:
    """row(0) .. row(count - 1), each of `shape`, on a device: from a .npy file, which all cores write if need be."""
    if not path.exists():
        # by fork, so that `row`, which may hold all pictures, is inherited and not sent along with every task
        with (
            whole_rows(path, (count, *shape), dtype) as out,
            get_context("fork").Pool(None, _ROW.append, (row,)) as pool,
        ):
            for index, made in enumerate(pool.imap(_made, range(count), chunksize=100)):
                out[index] = made
            pool.close()
            pool.join()  # before the pool's end, which would stop them by a signal
    return read_rows(path, device)


@contextmanager
def whole_rows(path: Path, shape: tuple[int, ...], dtype: type[np.generic]) -> Iterator[np.ndarray]:
    """An array to fill that becomes a .npy file at the end of the block, wholly or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(".tmp.npy")
    out = np.lib.format.open_memmap(beside, "w+", dtype, shape)
    yield out
    out.flush()
    os.replace(beside, path)


_ROW: list[Callable[[int], np.ndarray]] = []  # of a drawing process


def _made(index: int) -> np.ndarray:
    return _ROW[-1](index)


def read_rows(path: Path, device: torch.device | str) -> Tensor:
    """What `whole_rows` wrote, on a device; on the CPU the file is mapped and never written to."""
    return torch.from_numpy(np.load(path, mmap_mode="c")).to(device)
