"""The people of the embedded world: endlessly many, each a pure function of a seed.

A picture is `draw(person_from(seed), scene)` (see `drawing`); captions speak of the scene alone (see `captions`).
"""

import colorsys
from dataclasses import dataclass

import numpy as np

# Five disjoint ranges of person seeds. Evaluation comes in numbered blocks that are spent once looked at: whoever
# changes world, settings or code after looking at block k reports on block k + 1.
SPLITS: dict[str, range] = {
    "train": range(100_000),
    "judges": range(100_000, 200_000),
    "calibration": range(200_000, 210_000),
    "validation": range(300_000, 310_000),
    **{f"evaluation_{k}": range(400_000 + 1000 * k, 401_000 + 1000 * k) for k in range(1, 10)},
}

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


def person_from(seed: int) -> Person:
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
