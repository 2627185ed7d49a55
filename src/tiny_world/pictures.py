"""Rendered training pictures, kept on disk: drawing them once is cheaper than drawing them in every epoch."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from multiprocessing import Pool
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from src.data import tiny_captions, tiny_drawing, tiny_faces
from src.data.tiny_faces import SIZE, Scene


def scene_for(seed: int, *, style: str | None = None) -> Scene:
    """The training scene with this seed."""
    return tiny_faces.random_scene(np.random.default_rng([seed, 4]), style=style)


class Pictures:
    """`count` pictures of the people from `first` on, `per_person` each; drawn on first use into `folder`."""

    def __init__(self, folder: Path, *, first: int, count: int, per_person: int = 1, style: str | None = None):
        self.first, self.count, self.per_person, self.style = first, count, per_person, style
        path = folder / f"pictures-{first}-{count}-{per_person}-{style or 'any'}.npy"
        if not path.exists():
            _draw_all(path, self._picture, count, channels=4)
        self.data = np.load(path, mmap_mode="r")

    def person_of(self, index: int) -> int:
        return self.first + index // self.per_person

    def scene_of(self, index: int) -> Scene:
        return scene_for(self.first * 31 + index, style=self.style)

    def _picture(self, index: int) -> np.ndarray:
        """uint8 [64, 64, 4]: the picture and its mask."""
        picture, mask = tiny_drawing.draw(tiny_faces.person(self.person_of(index)), self.scene_of(index))
        return np.dstack([picture, mask])

    def images(self, indices: Sequence[int] | Tensor) -> Tensor:
        """[B, 3, 64, 64] in [-1, 1]."""
        return to_tensor(self.data[np.asarray(indices), ..., :3])

    def masks(self, indices: Sequence[int] | Tensor) -> Tensor:
        """[B, 1, 64, 64] in [0, 1], 1 on the subject."""
        chosen = np.ascontiguousarray(self.data[np.asarray(indices), ..., 3:])
        return torch.from_numpy(chosen).permute(0, 3, 1, 2).float() / 255

    def captions(self, indices: Sequence[int] | Tensor, seed: int) -> list[str]:
        """A new wording for every (picture, seed)."""
        numbers = np.asarray(indices)
        return [tiny_captions.caption(self.scene_of(int(i)), np.random.default_rng([int(i), seed])) for i in numbers]


class Irises:
    """Where the irises are in the first `count` pictures; drawn on first use into `folder`."""

    def __init__(self, folder: Path, pictures: Pictures, *, count: int):
        self.pictures, self.count = pictures, count
        path = folder / f"irises-{pictures.first}-{count}.npy"
        if not path.exists():
            _draw_all(path, self._iris, count, channels=1)
        self.data = np.load(path, mmap_mode="r")

    def _iris(self, index: int) -> np.ndarray:
        """uint8 [64, 64, 1]: what changes between white irises and black ones, so hair and sunglasses hide it."""
        person, scene = tiny_faces.person(self.pictures.person_of(index)), self.pictures.scene_of(index)
        white, black = (
            tiny_drawing.draw(replace(person, iris=(value,) * 3), scene)[0].astype(np.int16) for value in (255, 0)
        )
        return np.abs(white - black).max(-1, keepdims=True).astype(np.uint8)

    def masks(self, indices: Sequence[int] | Tensor) -> Tensor:
        """[B, 1, 64, 64] in [0, 1], 1 where there is nothing but iris."""
        chosen = np.ascontiguousarray(self.data[np.asarray(indices)])
        return torch.from_numpy(chosen).permute(0, 3, 1, 2).float() / 255


def _draw_all(path: Path, draw: Callable[[int], np.ndarray], count: int, *, channels: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(".tmp.npy")
    out = np.lib.format.open_memmap(beside, "w+", np.uint8, (count, SIZE, SIZE, channels))
    with Pool() as pool:
        for index, drawn in enumerate(pool.imap(draw, range(count), chunksize=100)):
            out[index] = drawn
    out.flush()
    os.replace(beside, path)


def to_tensor(pictures: np.ndarray) -> Tensor:
    """uint8 [..., H, W, 3] -> float [..., 3, H, W] in [-1, 1]."""
    return torch.from_numpy(np.ascontiguousarray(pictures)).movedim(-1, -3).float() / 127.5 - 1
