"""The scenes of the embedded world: what a caption can speak of, and the pose, each a pure function of a seed."""

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import numpy as np

SIZE = 64  # pixels, height and width of a picture

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


def scene_for(seed: int, *, style: str | None = None) -> Scene:
    """The training scene with this seed."""
    return random_scene(np.random.default_rng([seed, 4]), style=style)


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
