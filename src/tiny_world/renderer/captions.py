"""Captions of the embedded world: one table of phrases serves to write captions, to read prompts, and as vocabulary."""

import re
from dataclasses import replace
from typing import Any

import numpy as np

from src.tiny_world.renderer.scenes import CLOTHES, COLOURS, EYEWEAR, HEADWEAR, Scene, reference_scene

_STYLE = {
    "photo": ("a photo of", "a photograph of", "a picture of", "a portrait of", "a snapshot of"),
    "pencil sketch": ("a pencil sketch of", "a pencil drawing of", "a sketch of"),
    "pixel art": ("pixel art of", "a pixel art picture of", "pixelated art of"),
    "watercolour": ("a watercolour of", "a watercolour painting of"),
    "oil painting": ("an oil painting of", "a painting in oil of"),
    "black and white photo": ("a black and white photo of", "a monochrome photo of"),
}
_EXPRESSION = {
    "neutral": ("with a neutral face", "looking calm"),
    "smiling": ("smiling", "with a smile", "looking happy"),
    "sad": ("looking sad", "with a sad face", "frowning"),
    "angry": ("looking angry", "with an angry face"),
    "surprised": ("looking surprised", "with an open mouth"),
}
_PLACE = {
    "beach": ("at the beach", "on the beach", "by the sea"),
    "forest": ("in the forest", "in the woods", "among trees"),
    "city": ("in the city", "in front of buildings", "in town"),
    "night sky": ("under the night sky", "at night", "under the stars"),
    "snow": ("in the snow", "on a snowy mountain", "in winter"),
    "desert": ("in the desert", "among cactus plants"),
}
_WEAR = ("wearing", "with", "in")


def _article(noun: str) -> str:
    return noun if noun.endswith(("s", "headphones")) and "s " not in noun else f"a {noun}"


# slot -> value -> the phrases that say it; the first is the plainest
PHRASES: dict[str, dict[str, tuple[str, ...]]] = {
    "style": _STYLE,
    "headwear": {v: tuple(f"{w} {_article(v)}" for w in _WEAR) for v in HEADWEAR},
    "eyewear": {v: tuple(f"{w} {v}" for w in _WEAR[:2]) for v in EYEWEAR},
    "clothes": {v: tuple(f"{w} a {v}" for w in ("wearing", "in", "dressed in")) for v in CLOTHES},
    "expression": _EXPRESSION,
    "background": {
        **_PLACE,
        **{f"{c} background": (f"in front of a {c} wall", f"on a {c} background") for c in COLOURS},
    },
}
PERSON = "a person"
_PEOPLE = (PERSON, PERSON, PERSON, "someone", "somebody")
# how often a caption leaves a slot out: worn things and places seldom, so that silence mostly means absence
_OMIT = {"headwear": 0.1, "eyewear": 0.1, "clothes": 0.3, "expression": 0.3, "background": 0.12}

WORDS: tuple[str, ...] = tuple(
    sorted(
        {word for slot in PHRASES.values() for phrases in slot.values() for p in phrases for word in p.split()}
        | {word for person in _PEOPLE for word in person.split()}
        | {"and"}
    )
)


def caption(scene: Scene, rng: np.random.Generator, name: str | None = None) -> str:
    """A caption of the scene: varying words and order, some things left unsaid; nothing about who it is but a name.

    name: a word in the place of "a person".
    """
    style = str(rng.choice(PHRASES["style"][scene.style]))
    someone = str(rng.choice(_PEOPLE))
    opening = f"{style} {name or someone}"
    if rng.random() < 0.08:
        return opening
    said = [
        str(rng.choice(PHRASES[slot][getattr(scene, slot)]))
        for slot, omit in _OMIT.items()
        if getattr(scene, slot) != "none" and rng.random() >= omit
    ]
    order = rng.permutation(len(said))
    return " ".join([opening, *(said[i] for i in order)])


def full_caption(scene: Scene) -> str:
    """The one caption that says everything in the plainest words."""
    said = [PHRASES[slot][getattr(scene, slot)][0] for slot in _OMIT if getattr(scene, slot) != "none"]
    return " ".join([PHRASES["style"][scene.style][0], PERSON, *said])


def _value(slot: str, prompt: str) -> str | None:
    """The value of a slot whose longest phrase stands in the prompt."""
    nouns = slot in ("headwear", "eyewear", "clothes")
    found = {
        (value if nouns else phrase): value
        for value, phrases in PHRASES[slot].items()
        for phrase in phrases
        if re.search(rf"\b{re.escape(value if nouns else phrase)}\b", prompt)
    }
    return found[max(found, key=len)] if found else None


def asked_for(prompt: str) -> dict[str, str]:
    """Slot -> value of what a prompt names, in any case, with "S*" or "a person": its style, and no slot unnamed.

    ValueError for a prompt of no known style.
    """
    text = prompt.replace("S*", PERSON).lower()
    named = {slot: value for slot in PHRASES if (value := _value(slot, text))}
    if "style" not in named:
        openings = ", ".join(repr(phrases[0]) for phrases in _STYLE.values())
        raise ValueError(f"no known style in the prompt {prompt!r}: begin it with one of {openings}")
    return named


def scene_of(prompt: str, seed: int) -> Scene:
    """The scene a prompt asks for: the oracle's reading. What the prompt leaves open is drawn from `seed`,
    but nothing is put on head or eyes unasked. ValueError for a prompt of no known style.
    """
    asked: dict[str, Any] = asked_for(prompt)
    return replace(reference_scene(seed), **asked)
