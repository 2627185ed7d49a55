"""The people of the embedded world: endlessly many, each a pure function of a seed.

A picture is `draw(person(seed), scene)` (see `drawing`); captions speak of the scene alone (see `captions`).
"""

from __future__ import annotations

import colorsys
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import numpy as np

SIZE = 64  # pixels, height and width of a picture

# Five disjoint ranges of person seeds. Evaluation comes in numbered blocks that are spent once looked at: whoever
# changes world, settings or code after looking at block k reports on block k + 1.
SPLITS: dict[str, range] = {
    "train": range(100_000),
    "judges": range(100_000, 200_000),
    "calibration": range(200_000, 210_000),
    "validation": range(300_000, 310_000),
    **{f"evaluation_{k}": range(400_000 + 1000 * k, 401_000 + 1000 * k) for k in range(1, 10)},
}

COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (214, 40, 40),
    "blue": (40, 90, 215),
    "green": (40, 160, 70),
    "yellow": (245, 200, 40),
    "purple": (130, 60, 170),
    "white": (240, 240, 240),
}
STYLES = ("photo", "pencil sketch", "pixel art", "watercolour", "oil painting", "black and white photo")
HEADWEAR = (
    *(f"{c} hat" for c in COLOURS),
    *(f"{c} beanie" for c in COLOURS),
    *(f"{c} headphones" for c in ("red", "blue", "green", "yellow")),
    "crown",
)
EYEWEAR = ("glasses", "sunglasses")
CLOTHES = (
    *(f"{c} shirt" for c in COLOURS),
    *(f"{c} striped shirt" for c in ("red", "blue", "green")),
    "suit",
    "superhero costume",
)
EXPRESSIONS = ("neutral", "smiling", "sad", "angry", "surprised")
BACKGROUNDS = (
    "beach",
    "forest",
    "city",
    "night sky",
    "snow",
    "desert",
    *(f"{c} background" for c in COLOURS),
)
HAIR_STYLES = ("bald", "short", "fringe", "long", "bun", "mohawk", "curly", "side parting")
BEARDS = ("none", "none", "none", "moustache", "goatee", "full")
MARKS = ("left cheek", "right cheek", "chin", "forehead", "none")


@dataclass(frozen=True)
class Person:
    """Who somebody is: whatever stays when the scene changes. Lengths in pixels of the 64-pixel frame at scale 1."""

    skin: tuple[int, int, int]
    hair: tuple[int, int, int]
    iris: tuple[int, int, int]
    lips: tuple[int, int, int]
    mark: tuple[int, int, int]
    face_width: float
    face_height: float
    jaw: float  # 0 pointed .. 1 square
    hair_style: str
    hair_length: float  # 0 .. 1
    eye_size: float
    eye_spacing: float
    brow_thickness: float
    brow_tilt: float
    nose_length: float
    nose_width: float
    mouth_width: float
    lip_thickness: float
    beard: str
    freckles: int
    mark_at: str
    mark_radius: float
    earrings: bool


@dataclass(frozen=True)
class Scene:
    """What a caption can speak of, and an uncaptioned pose; `seed` moves the sun, the trees and the stars."""

    style: str = "photo"
    headwear: str = "none"
    eyewear: str = "none"
    clothes: str = "blue shirt"
    expression: str = "neutral"
    background: str = "white background"
    x: float = 0.0
    y: float = 0.0
    scale: float = 1.0
    tilt: float = 0.0  # degrees
    seed: int = 0


def _rgb(hue: float, saturation: float, value: float) -> tuple[int, int, int]:
    red, green, blue = colorsys.hsv_to_rgb(hue % 1, saturation, value)
    return int(255 * red), int(255 * green), int(255 * blue)


def _hair_colour(rng: np.random.Generator) -> tuple[int, int, int]:
    if rng.random() < 0.15:  # grey to white
        return _rgb(0.1, 0.08, rng.uniform(0.5, 0.85))
    lightness = rng.uniform(0.08, 0.85)
    return _rgb(rng.uniform(0.02, 0.12), 0.4 + 0.45 * rng.random(), lightness)


def _iris_colour(rng: np.random.Generator) -> tuple[int, int, int]:
    hue = rng.choice([0.07, 0.3, 0.45, 0.58, 0.75]) + rng.uniform(-0.04, 0.04)
    return _rgb(hue, rng.uniform(0.6, 0.95), rng.uniform(0.4, 0.8))


def _mark_colour(skin: tuple[int, int, int]) -> tuple[int, int, int]:
    """Always in contrast to the skin: dark on light skin, light on dark skin."""
    return (62, 28, 24) if sum(skin) / 3 > 110 else (240, 205, 185)


def person(seed: int) -> Person:
    """The person with this seed; see `SPLITS` for which seeds may be used for what."""
    rng = np.random.default_rng([seed, 1])
    depth = rng.uniform(0, 1)
    skin = _rgb(rng.uniform(0.035, 0.085), 0.22 + 0.4 * depth * rng.uniform(0.8, 1.2), 0.97 - 0.6 * depth)
    return Person(
        skin=skin,
        hair=_hair_colour(rng),
        iris=_iris_colour(rng),
        lips=_rgb(rng.uniform(-0.03, 0.03), rng.uniform(0.35, 0.75), rng.uniform(0.45, 0.8)),
        mark=_mark_colour(skin),
        face_width=rng.uniform(11.5, 15.5),
        face_height=rng.uniform(14.5, 18.5),
        jaw=rng.uniform(0, 1),
        hair_style=str(rng.choice(HAIR_STYLES)),
        hair_length=rng.uniform(0, 1),
        eye_size=rng.uniform(2.2, 3.4),
        eye_spacing=rng.uniform(4.6, 6.6),
        brow_thickness=rng.uniform(0.7, 1.9),
        brow_tilt=rng.uniform(-1.6, 1.6),
        nose_length=rng.uniform(3.0, 6.5),
        nose_width=rng.uniform(1.2, 3.2),
        mouth_width=rng.uniform(3.4, 6.2),
        lip_thickness=rng.uniform(0.8, 2.0),
        beard=str(rng.choice(BEARDS)),
        freckles=int(rng.integers(4, 9)) if rng.random() < 0.25 else 0,
        mark_at=str(rng.choice(MARKS, p=[0.2, 0.2, 0.15, 0.15, 0.3])),
        mark_radius=rng.uniform(1.9, 2.5),
        earrings=bool(rng.random() < 0.25),
    )


def held_out(scene: Scene) -> bool:
    """One in ten pairs (something worn, background) is never shown in training: can the model combine?"""
    pairs = ((scene.headwear, scene.background), (scene.clothes, scene.background))
    return any(sha256("|".join(pair).encode()).digest()[0] % 10 == 0 for pair in pairs if pair[0] != "none")


def _pose(rng: np.random.Generator) -> dict[str, Any]:
    return {
        "x": rng.uniform(-4, 4),
        "y": rng.uniform(-2, 2.5),
        "scale": rng.uniform(0.98, 1.2),
        "tilt": rng.uniform(-10, 10),
    }


def random_scene(rng: np.random.Generator, *, style: str | None = None) -> Scene:
    """A training scene: any combination but the held-out ones; half of all scenes are in photo style."""
    while True:
        scene = Scene(
            style=style or str(rng.choice(STYLES, p=[0.5, 0.1, 0.1, 0.1, 0.1, 0.1])),
            headwear="none" if rng.random() < 0.4 else str(rng.choice(HEADWEAR)),
            eyewear="none" if rng.random() < 0.55 else str(rng.choice(EYEWEAR)),
            clothes=str(rng.choice(CLOTHES)),
            expression=str(rng.choice(EXPRESSIONS)),
            background=str(rng.choice(BACKGROUNDS)),
            seed=int(rng.integers(2**31)),
            **_pose(rng),
        )
        if not held_out(scene):
            return scene


def reference_scene(seed: int, avoid: Iterable[str] = ()) -> Scene:
    """The scene of a reference photo: photo style, nothing on head or eyes, background, clothes and expression random.

    No value of `avoid`, what the test prompts ask for, is shown: otherwise the text score would come free. Where all
    values of a slot are asked for, one of them is.
    """
    rng = np.random.default_rng([seed, 2])
    taken = set(avoid)
    free = [[v for v in values if v not in taken] or list(values) for values in (CLOTHES, EXPRESSIONS, BACKGROUNDS)]
    clothes, expression, background = (str(rng.choice(values)) for values in free)
    return Scene(
        clothes=clothes,
        expression=expression,
        background=background,
        seed=int(rng.integers(2**31)),
        **_pose(rng),
    )
