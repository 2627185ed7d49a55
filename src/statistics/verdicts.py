"""What a difference means: better, worse, equal within a margin, or undecided; and p-values of several judges."""

import math
from collections.abc import Mapping

from src.statistics.differences import Difference

MARGIN = 0.05  # of floor to ceiling: docs/method.md's margin where a claim says "no loss" or "equal"
ENOUGH = 16  # people for a verdict; fewer is an illustration
DECIMALS = 9  # an interval's end on the margin itself lies inside it


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Holm's step-down correction (Holm 1979): the family-wise p-value of each; nan stays nan and does not count."""
    known = sorted((p, name) for name, p in p_values.items() if not math.isnan(p))
    corrected, largest = dict(p_values), 0.0
    for rank, (p, name) in enumerate(known):
        largest = max(largest, min(1.0, (len(known) - rank) * p))
        corrected[name] = largest
    return corrected


def verdict(low: float, high: float, *, people: int, margin: float = MARGIN) -> str:
    """The verdict of a 95 % interval of a normalised difference a - b against a margin named before the run.

    "equal": the whole interval lies within the margin (two one-sided tests, at 2.5 % each); else "better" or "worse":
    it excludes 0; "no worse" or "no better": it excludes a loss or a gain of the margin; else "undecided". Without an
    interval, or with fewer than 16 people, there is none: "illustration".
    """
    if people < ENOUGH or math.isnan(low) or math.isnan(high):
        return "illustration"
    low, high = round(low, DECIMALS), round(high, DECIMALS)
    if -margin <= low and high <= margin:
        return "equal"
    if low > 0 or high < 0:
        return "better" if low > 0 else "worse"
    if low >= -margin or high <= margin:
        return "no worse" if low >= -margin else "no better"
    return "undecided"


def sentence(difference: Difference, what: str, margin: float = MARGIN) -> str:
    """One line under a table: the verdict, its interval and the margin."""
    found = verdict(difference.low, difference.high, people=difference.people, margin=margin)
    interval = f"[{difference.low:+.3f}, {difference.high:+.3f}]"
    if found == "illustration":
        return f"{what}: no verdict from {difference.people} people (it takes {ENOUGH})"
    return f"{what}: {found} ({interval}, margin {margin:.2f})"
