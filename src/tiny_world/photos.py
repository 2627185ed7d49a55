"""Photos of the embedded world's people, as training data, as references, and as the oracle's answers."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from src.tiny_world.renderer.captions import asked_for, scene_of
from src.tiny_world.renderer.drawing import draw
from src.tiny_world.renderer.people import SPLITS, Person, person_from
from src.tiny_world.renderer.scenes import Scene, random_scene, reference_scene


def drawn(person: Person, scene: Scene) -> Tensor:
    """The renderer's picture [3, 64, 64] in [-1, 1]."""
    pixels, _ = draw(person, scene)
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1).float() / 127.5 - 1


def picture(person: int, scene: Scene) -> Tensor:
    """The renderer's picture [3, 64, 64] in [-1, 1] of the person with this seed."""
    return drawn(person_from(person), scene)


def pictures(shown: Iterable[tuple[int, Scene]]) -> Tensor:
    """Pictures [B, 3, 64, 64] in [-1, 1] of (person's seed, scene)."""
    return torch.stack([picture(person, scene) for person, scene in shown])


def masks(shown: Iterable[tuple[int, Scene]]) -> Tensor:
    """Where the renderer puts each person (seed, scene): [B, 1, 64, 64] in [0, 1]."""
    drawn = [draw(person_from(person), scene)[1] for person, scene in shown]
    return torch.from_numpy(np.stack(drawn))[:, None].float() / 255


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
        return {"image": picture(person, random_scene(np.random.default_rng([person, 5]), style="photo"))}


def asked_values(prompts: Iterable[str]) -> set[str]:
    """All that the prompts name: "red hat", "beach", "smiling"; ValueError for a prompt of no known style."""
    return {value for prompt in prompts for value in asked_for(prompt).values()}


def reference(person: int, prompts: Sequence[str], *, photos: int = 1) -> Tensor:
    """Reference photos [photos, 3, 64, 64] in scenes of their own, which show nothing that a prompt asks for."""
    return pictures((person, scene) for scene in _reference_scenes(person, prompts, photos))


def mask(photos: Tensor, person: int, prompts: Sequence[str]) -> Tensor:
    """Where the renderer put the person in those reference photos [P, 3, 64, 64]: [P, 1, 64, 64] in [0, 1].

    ValueError for somebody whom the renderer did not draw.
    """
    if not isinstance(person, int):
        raise ValueError(
            f"the renderer has no mask of {person}: set mask@world.augmentation.mask=fixed_box or file (drawn by you)"
        )
    return masks((person, scene) for scene in _reference_scenes(person, prompts, len(photos)))


def _reference_scenes(person: int, prompts: Sequence[str], count: int) -> list[Scene]:
    asked = asked_values(prompts)
    return [reference_scene(person + 1_000_000 * k, avoid=asked) for k in range(count)]


def oracle(person: int, prompt: str, seed: int) -> Tensor:
    """The ceiling [3, 64, 64]: the renderer draws this very person in the scene that the prompt asks for."""
    scene = scene_of(prompt, seed)
    pose = reference_scene(seed + 7)
    return picture(person, replace(scene, x=pose.x, y=pose.y, scale=pose.scale, tilt=pose.tilt))


def stranger(person: int, prompt: str, seed: int) -> Tensor:
    """The floor [3, 64, 64]: somebody else in the right scene."""
    return oracle(person + 500, prompt, seed)


def people(split: str) -> list[int]:
    """Seeds of a split's first 500 people; the others are their strangers."""
    return list(split_of(split)[:500])


def split_of(name: str) -> Sequence[int]:
    """The people of a split. ValueError for one that there is not."""
    if name not in SPLITS:
        raise ValueError(f"split ({name}) must be one of {', '.join(SPLITS)}")
    return SPLITS[name]
