"""Along the path of learning: text at equal identity on each person's own curve, and the area between mean curves.

How hard a person is fitted decides how much identity there is and how little text is left. Sides are therefore held
against each other where they have reached the same identity, not where they have made the same number of steps.
"""

import math
from collections.abc import Collection, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np

from src.files.rows import Row
from src.statistics.interval import Interval, interval
from src.statistics.means import mean, person_means

Path = Sequence[Sequence[Row]]  # a side's rows at each strength of learning, from light to over-fitted
Curve = Sequence[tuple[float, float]]  # (identity, text) at each strength, in the same order
SHORTEST = 0.05  # of floor to ceiling: a stretch of identity below this compares nothing
PLACES = 200  # at which two curves are compared


def person_curves(path: Path) -> dict[str, Curve]:
    """Each person's own curve: means of the columns "identity" and "text" over prompts and seeds at each strength.

    A strength at which a person has no score (no face was found) is left out of that person's curve. ValueError unless
    every strength has the same people.
    """
    means = [(person_means(rows, "identity"), person_means(rows, "text")) for rows in path]
    people = list(means[0][0]) if means else []
    if any(set(identity) != set(people) for identity, _ in means):
        raise ValueError("the strengths of a side have different people: learn and draw the same ones at each")
    points = {person: [(identity[person], text[person]) for identity, text in means] for person in people}
    return {person: [point for point in own if not any(map(math.isnan, point))] for person, own in points.items()}


def reached(curve: Curve) -> tuple[float, float]:
    """The identities [low, high] that a curve reaches: from its lightest strength's to its largest. nan: none."""
    return (curve[0][0], max(identity for identity, _ in curve)) if curve else (math.nan, math.nan)


def text_at(curve: Curve, identity: np.ndarray) -> np.ndarray:
    """The text where a curve first reaches each identity, linear between neighbouring strengths; nan out of its reach.

    The first time: a path that stays at one identity while it goes on losing text is not held against its side.
    """
    low, high = reached(curve)
    text = np.full(identity.shape, math.nan)
    highest = low
    if curve:
        text[identity == low] = curve[0][1]
    for (x_0, y_0), (x_1, y_1) in pairwise(curve):
        if x_1 > highest:
            here = (identity > highest) & (identity <= min(x_1, high))
            text[here] = y_0 + (identity[here] - x_0) / (x_1 - x_0) * (y_1 - y_0)
            highest = x_1
    return text


def common_stretch(a: Curve, b: Curve) -> tuple[float, float] | None:
    """The identities that both curves reach; None where there are none, or less than SHORTEST of them."""
    (low_a, high_a), (low_b, high_b) = reached(a), reached(b)
    low, high = max(low_a, low_b), min(high_a, high_b)
    return (low, high) if high - low >= SHORTEST else None


def height(a: Curve, b: Curve) -> float:
    """Text on curve a minus text on curve b, the mean over their common stretch; nan where they cannot be compared."""
    stretch = common_stretch(a, b)
    if stretch is None:
        return math.nan
    low, high = stretch
    identity = low + (high - low) * (np.arange(PLACES) + 0.5) / PLACES
    return float(np.mean(text_at(a, identity) - text_at(b, identity)))


def heights(a: Path, b: Path) -> dict[str, float]:
    """Text of a minus text of b at equal identity for each person; nan for one whose curves have no common stretch.

    ValueError if the sides have different people.
    """
    curves_a, curves_b = person_curves(a), person_curves(b)
    if set(curves_a) != set(curves_b):
        raise ValueError("the two sides have different people: compare them over the same ones")
    return {person: height(curve, curves_b[person]) for person, curve in curves_a.items()}


def text_at_equal_identity(a: Path, b: Path) -> Interval:
    """The difference a - b of text at equal identity, the mean over people (METHOD, section 6).

    a, b: rows with the columns "text" and "identity", normalised. left_out: people whose curves have no common stretch.
    ValueError if the sides have different people.
    """
    each = [{"person": person, "prompt": "all", "height": own} for person, own in heights(a, b).items()]
    cells = [row for rows in a for row in rows]
    prompts, seeds = (len({str(row[name]) for row in cells}) for name in ("prompt", "seed"))
    return replace(interval(each, "height"), prompts=prompts, seeds=seeds)


def mean_curve(curves: Collection[Curve]) -> Curve:
    """The curve of the means over people at each strength; of those who have a score at every strength."""
    length = max(map(len, curves), default=0)
    whole = [own for own in curves if len(own) == length]
    return [(mean([own[k][0] for own in whole]), mean([own[k][1] for own in whole])) for k in range(length)]


def area_between(a: Path, b: Path, *, draws: int = 2000, seed: int = 0) -> tuple[float, float, float]:
    """The area between the mean curves of a and b over the identities that both reach, with its 95 % interval.

    In units of text times identity, above 0 where a lies above b; the interval by drawing people anew. (nan, nan, nan)
    where the mean curves cannot be compared.
    """
    curves_a, curves_b = person_curves(a), person_curves(b)
    people = sorted(curves_a)
    rng = np.random.default_rng(seed)
    chosen = [people, *([people[i] for i in drawn] for drawn in rng.integers(0, len(people), (draws, len(people))))]
    areas = [_area(*(mean_curve([own[p] for p in who]) for own in (curves_a, curves_b))) for who in chosen]
    if math.isnan(areas[0]):
        return math.nan, math.nan, math.nan
    low, high = np.nanquantile(areas[1:], [0.025, 0.975])
    return areas[0], float(low), float(high)


def _area(a: Curve, b: Curve) -> float:
    stretch = common_stretch(a, b)
    return math.nan if stretch is None else (stretch[1] - stretch[0]) * height(a, b)
