"""How wide an interval will be: from the variance components of a few people to the sizes of a study."""

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import numpy as np

MOST_PEOPLE = 1000


@dataclass(frozen=True)
class Components:
    """Variances of a score or a difference: of people, of prompts within a person, of seeds within a prompt."""

    people: float
    prompts: float
    seeds: float

    def of_person_mean(self, prompts: int, seeds: int) -> float:
        """The variance of a person's mean over so many prompts with so many seeds each."""
        return self.people + self.prompts / prompts + self.seeds / (prompts * seeds)


def components_by_halves(
    person_values: Callable[[Collection[str]], Sequence[float]], prompts: Sequence[str]
) -> Components:
    """Of people and of prompts within a person, for a statistic that is no mean of rows (text at equal identity).

    person_values: prompts -> the statistic of each person over these, nan left out. Its variance over all prompts and
    over each half of them tells the two apart; the variance of seeds lies within that of prompts. With one prompt all
    of it is said to be of people. ValueError for fewer than two people.
    """
    halves = [person_values(prompts[k::2]) for k in range(2) if prompts[k::2]]
    whole = _variance(person_values(prompts))
    of_prompts = len(prompts) * (np.mean([_variance(own) for own in halves]) - whole) if len(prompts) > 1 else 0.0
    of_prompts = min(max(0.0, float(of_prompts)), whole * len(prompts))
    return Components(people=whole - of_prompts / len(prompts), prompts=of_prompts, seeds=0.0)


def half_width(found: Components, people: int, prompts: int, seeds: int, level: float = 0.95) -> float:
    """Half the width of Student's interval of a mean over so many people."""
    return _half(found.of_person_mean(prompts, seeds), people, level)


def enough_people(variance: float, wanted: float, *, least: int = 2, level: float = 0.95) -> int | None:
    """How many people give an interval of half-width `wanted`, for a person mean of this variance.

    None if MOST_PEOPLE don't. ValueError unless `wanted` is above 0.
    """
    if wanted <= 0:
        raise ValueError(f"half-width ({wanted}) must be above 0: no number of people gives an interval of no width")
    return next((n for n in range(least, MOST_PEOPLE + 1) if _half(variance, n, level) <= wanted), None)


def _variance(values: Sequence[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    if len(known) < 2:
        raise ValueError(f"{len(known)} people have no variance: it takes two who can be compared")
    return float(np.var(known, ddof=1))


def _half(variance: float, people: int, level: float) -> float:
    from scipy import stats

    return float(stats.t.ppf((1 + level) / 2, people - 1) * math.sqrt(variance / people))
