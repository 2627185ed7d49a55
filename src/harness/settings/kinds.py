"""Kinds of values: what a setting may be, in words and as a test."""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True)
class Kind:
    """What a setting may be: in words, as a test, whether it is text, which a shell hands over as it is, and whether
    it is spoken: such text names no file, even if there is one of that name."""

    words: str
    fits: Callable[[Any], bool]
    text: bool = False
    listed: bool = False
    spoken: bool = False

    def __or__(self, other: "Kind") -> "Kind":
        return Kind(
            f"{self.words} or {other.words}",
            lambda value: self.fits(value) or other.fits(value),
            self.text or other.text,
            self.listed or other.listed,
            self.spoken or other.spoken,
        )


def whole(low: int, high: int | None = None) -> Kind:
    """A whole number from low (to high)."""
    words = f"a whole number from {low}" + (f" to {high}" if high is not None else "")
    most = math.inf if high is None else high
    return Kind(words, lambda v: isinstance(v, int) and not isinstance(v, bool) and low <= v <= most)


def number(low: float = -math.inf, high: float = math.inf, *, above: bool = False, below: bool = False) -> Kind:
    """A finite number in [low, high]; `above` and `below` leave out the ends."""
    if low == -math.inf:
        words = "a number"
    elif high < math.inf:
        words = f"a number in {'(' if above else '['}{low:g}, {high:g}{')' if below else ']'}"
    else:
        words = f"a number above {low:g}" if above else f"a number of {low:g} or more"

    def fits(value: Any) -> bool:
        if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < math.inf:
            return False
        return low <= value <= high and not (above and value == low) and not (below and value == high)

    return Kind(words, fits)


def choice(*names: str) -> Kind:
    """One of these words."""
    return Kind(f"one of {', '.join(names)}", lambda value: isinstance(value, str) and value in names)


def listed(kind: Kind, least: int = 0) -> Kind:
    """A list, in Hydra's form, of at least `least` of a kind."""
    words = f"a list of {'at least one ' if least else ''}{kind.words}"

    def fits(value: Any) -> bool:
        return isinstance(value, list) and len(value) >= least and all(map(kind.fits, value))

    return Kind(words, fits, kind.text, listed=True, spoken=kind.spoken)


ANY = Kind("anything", lambda value: True)
NULL = Kind("null", lambda value: value is None)
FLAG = Kind("true or false", lambda value: isinstance(value, bool))
TEXT = Kind("text", lambda value: isinstance(value, str), text=True)
WORDS = replace(TEXT, spoken=True)
PROMPT = Kind("a prompt with one S*", lambda v: isinstance(v, str) and v.count("S*") == 1, text=True, spoken=True)
GROUP = Kind("a group of settings", lambda value: isinstance(value, dict))
NUMBERS = Kind("list of numbers", listed(number()).fits)
VARIANTS = Kind("null or '${world.augmentation}'", lambda value: value is None or isinstance(value, dict))

COUNT, SEED, SHARE = whole(1), whole(0, 2**32 - 1), number(0, 1)
POSITIVE, NOT_NEGATIVE = number(0, above=True), number(0)
WEIGHT = number() | Kind("the name of a weight in guidance", lambda value: isinstance(value, str))
PATHS = TEXT | listed(TEXT, 1)
DEVICE = Kind(
    "auto, cpu, cuda, cuda:N or mps",
    lambda value: isinstance(value, str) and bool(re.fullmatch(r"auto|cpu|mps|(cuda|gpu)(:\d+)?", value)),
)
