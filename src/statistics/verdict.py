"""What an interval decides: a claim's verdict, a table's sentence, and what few people are worth."""

import math
from collections.abc import Collection, Mapping

from src.statistics.interval import Interval

SUPPORTED, NOT_SUPPORTED, UNDECIDED = "supported", "not supported", "undecided"
MARGIN = 0.05  # of floor to ceiling: METHOD's margin where a claim says "no loss" or "equal"
ENOUGH = 16  # people for a verdict; fewer is an illustration
DECIMALS = 9  # an interval's end on the margin itself lies inside it


def verdict(difference: Interval, margin: float = 0.0, worth: float | None = None) -> str:
    """Supported: the t-interval lies above -margin; not supported: below `worth`, the smallest difference worth having,
    or without one below -margin; undecided: neither, or too few people."""
    if difference.people < ENOUGH:
        return UNDECIDED
    if difference.low > -margin:
        return SUPPORTED
    return NOT_SUPPORTED if difference.high < (-margin if worth is None else worth) else UNDECIDED


def together(verdicts: Collection[str]) -> str:
    """A claim is supported if all of its findings are, and not supported as soon as one is not."""
    if set(verdicts) == {SUPPORTED}:
        return SUPPORTED
    return NOT_SUPPORTED if NOT_SUPPORTED in verdicts else UNDECIDED


def outcome(difference: Interval, margin: float = MARGIN) -> str:
    """What a table says of a normalised difference a - b, against a margin named before the run.

    "equal": the whole t-interval lies within the margin (two one-sided tests, at 2.5 % each); else "better" or "worse":
    it excludes 0; "no worse" or "no better": it excludes a loss or a gain of the margin; else undecided, as it is
    without an interval or with too few people.
    """
    low, high = round(difference.low, DECIMALS), round(difference.high, DECIMALS)
    if difference.people < ENOUGH or math.isnan(low) or math.isnan(high):
        return UNDECIDED
    if -margin <= low and high <= margin:
        return "equal"
    if low > 0 or high < 0:
        return "better" if low > 0 else "worse"
    if low >= -margin or high <= margin:
        return "no worse" if low >= -margin else "no better"
    return UNDECIDED


def sentence(difference: Interval, what: str, margin: float = MARGIN) -> str:
    """One line under a table: the outcome, its interval and the margin."""
    if difference.people < ENOUGH:
        return f"{what}: no verdict from {difference.people} people (it takes {ENOUGH})"
    interval = f"[{difference.low:+.3f}, {difference.high:+.3f}]"
    return f"{what}: {outcome(difference, margin)} ({interval}, margin {margin:.2f})"


def few_people(people: int) -> list[str]:
    """The last lines under every table of scores: what so few people are worth; none for enough of them."""
    lines = ["no interval: it needs at least 2 people"] if people < 2 else []
    return lines + ([f"illustration (n = {people}, fewer than {ENOUGH} people)"] if people < ENOUGH else [])


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Holm's step-down correction (Holm 1979): the family-wise p-value of each; nan stays nan and does not count."""
    known = sorted((p, name) for name, p in p_values.items() if not math.isnan(p))
    corrected, largest = dict(p_values), 0.0
    for rank, (p, name) in enumerate(known):
        largest = max(largest, min(1.0, (len(known) - rank) * p))
        corrected[name] = largest
    return corrected
