"""One test of a claim that was written down before the run: the difference of two sides, and what it decides."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from src.files.rows import Row, judge_columns
from src.statistics.interval import Interval, paired_difference
from src.statistics.scale import FLOORS, Anchors, normalised, scales
from src.statistics.verdict import verdict


@dataclass(frozen=True)
class Finding:
    """better - worse in normalised units, and what it says.

    kind: "text" or "identity". margin: what may be lost; 0 asks for more, .05 for no loss of 5 % of floor to ceiling.
    """

    better: str
    worse: str
    kind: str
    margin: float
    difference: Interval
    verdict: str


def finding(
    sides: Mapping[str, Sequence[Row]], anchors: Anchors, *, better: str, worse: str, kind: str, margin: float
) -> Finding:
    """The mean over all judges of a kind, normalised between floor and ceiling, paired over people, prompts, seeds.

    ValueError for a negative margin, an unknown kind or side, sides that do not pair up, or without a scale.
    """
    if margin < 0:
        raise ValueError(f"margin ({margin}) of {better} over {worse} must be 0 or more")
    for name, known in ((kind, FLOORS), (better, sides), (worse, sides)):
        if name not in known:
            raise ValueError(f"{name!r} is unknown: choose one of {', '.join(known)}")
    measures = scales(anchors, kind, judge_columns(sides[better], kind))
    a, b = (normalised(sides[name], measures) for name in (better, worse))
    difference = paired_difference(a, b, "normalised")
    return Finding(better, worse, kind, margin, difference, verdict(difference, margin))
