"""Photos of the embedded world's people, as training data, as references, and as the oracle's answers."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from src.tiny_world import renderer


def picture(person: int, scene: renderer.people.Scene) -> Tensor:
    """The renderer's picture [3, 64, 64] in [-1, 1]."""
    pixels, _ = renderer.drawing.draw(renderer.people.person(person), scene)
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1).float() / 127.5 - 1


class TinyPhotos(Dataset[dict[str, Tensor]]):
    """Photo k is person k of a split, in photo style and a random scene; no captions, as in the paper.

    Items are {"image": [3, 64, 64] in [-1, 1]}; `names` say which person each one is.
    """

    def __init__(self, split: str, *, count: int | None = None):
        self.people = split_of(split)[:count]
        self.names = [f"person-{person}" for person in self.people]

    def __len__(self) -> int:
        return len(self.people)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        person = self.people[index]
        return {
            "image": picture(person, renderer.people.random_scene(np.random.default_rng([person, 5]), style="photo"))
        }


def asked_values(prompts: Iterable[str]) -> set[str]:
    """All that the prompts name: "red hat", "beach", "smiling"; ValueError for a prompt of no known style."""
    return {value for prompt in prompts for value in renderer.captions.asked_for(prompt).values()}


def reference(person: int, prompts: Sequence[str], *, photos: int = 1) -> Tensor:
    """Reference photos [photos, 3, 64, 64] in scenes of their own, which show nothing that a prompt asks for."""
    return torch.stack([picture(person, scene) for scene in _reference_scenes(person, prompts, photos)])


def mask(photos: Tensor, person: int, prompts: Sequence[str]) -> Tensor:
    """Where the renderer put the person in those reference photos [P, 3, 64, 64]: [P, 1, 64, 64] in [0, 1].

    ValueError for somebody whom the renderer did not draw.
    """
    if not isinstance(person, int):
        raise ValueError(
            f"the renderer has no mask of {person}: set mask@world.augmentation.mask=fixed_box or file (drawn by you)"
        )
    drawn = [
        renderer.drawing.draw(renderer.people.person(person), s)[1]
        for s in _reference_scenes(person, prompts, len(photos))
    ]
    return torch.from_numpy(np.stack(drawn))[:, None].float() / 255


def _reference_scenes(person: int, prompts: Sequence[str], count: int) -> list[renderer.people.Scene]:
    asked = asked_values(prompts)
    return [renderer.people.reference_scene(person + 1_000_000 * k, avoid=asked) for k in range(count)]


def oracle(person: int, prompt: str, seed: int) -> Tensor:
    """The ceiling [3, 64, 64]: the renderer draws this very person in the scene that the prompt asks for."""
    scene = renderer.captions.scene_of(prompt, seed)
    pose = renderer.people.reference_scene(seed + 7)
    return picture(person, replace(scene, x=pose.x, y=pose.y, scale=pose.scale, tilt=pose.tilt))


def stranger(person: int, prompt: str, seed: int) -> Tensor:
    """The floor [3, 64, 64]: somebody else in the right scene."""
    return oracle(person + 500, prompt, seed)


def people(split: str) -> list[int]:
    """Seeds of a split's first 500 people; the others are their strangers."""
    return list(split_of(split)[:500])


def split_of(name: str) -> Sequence[int]:
    """The people of a split. ValueError for one that there is not."""
    if name not in renderer.people.SPLITS:
        raise ValueError(f"split ({name}) must be one of {', '.join(renderer.people.SPLITS)}")
    return renderer.people.SPLITS[name]
