"""One test of a claim that was written down before the run: the difference of two sides, and what it decides."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from src.files.rows import Row, judge_columns
from src.statistics.interval import Interval, paired_difference
from src.statistics.path import Path, text_at_equal_identity
from src.statistics.scale import FLOORS, Anchors, normalised, scales
from src.statistics.verdict import verdict

PATH = "text at equal identity"


@dataclass(frozen=True)
class Finding:
    """better - worse in normalised units, and what it says.

    kind: "text" or "identity" of two sides, or PATH, text at equal identity of two paths of learning. margin: what may
        be lost; 0 asks for more, .05 for no loss of 5 % of floor to ceiling. worth: the smallest difference worth
        having: an interval below it speaks against the claim, though a smaller gain may be in it; None: -margin.
    """

    better: str
    worse: str
    kind: str
    margin: float
    difference: Interval
    verdict: str
    worth: float | None = None


def finding(
    sides: Mapping[str, Sequence[Row]],
    anchors: Anchors,
    *,
    better: str,
    worse: str,
    kind: str,
    margin: float,
    worth: float | None = None,
) -> Finding:
    """The mean over all judges of a kind, normalised between floor and ceiling, paired over people, prompts, seeds.

    ValueError for a negative margin, a worth below it, an unknown kind or side, sides that do not pair up, or without a
    scale.
    """
    _check(better, worse, margin, worth, sides)
    if kind not in FLOORS:
        raise ValueError(f"{kind!r} is unknown: choose one of {', '.join((*FLOORS, PATH))}")
    measures = scales(anchors, kind, judge_columns(sides[better], kind))
    a, b = (normalised(sides[name], measures) for name in (better, worse))
    difference = paired_difference(a, b, "normalised")
    return Finding(better, worse, kind, margin, difference, verdict(difference, margin, worth), worth)


def path_finding(
    paths: Mapping[str, Path],
    anchors: Anchors,
    *,
    better: str,
    worse: str,
    margin: float,
    kind: str = PATH,
    worth: float | None = None,
) -> Finding:
    """Text at equal identity, both normalised, on each person's own curves along the path of learning.

    paths: rows of the strengths of each side, light to over-fitted. ValueError as of `finding`.
    """
    _check(better, worse, margin, worth, paths)
    a, b = (on_both_scales(paths[name], anchors) for name in (better, worse))
    difference = text_at_equal_identity(a, b)
    return Finding(better, worse, kind, margin, difference, verdict(difference, margin, worth), worth)


def on_both_scales(path: Path, anchors: Anchors) -> Path:
    """The rows of every strength with the columns "text" and "identity", means over judges of normalised scores."""
    judges = {kind: judge_columns(path[0], kind) for kind in FLOORS}
    measures = {kind: scales(anchors, kind, names) for kind, names in judges.items()}
    for kind, own in measures.items():
        path = [normalised(rows, own, kind) for rows in path]
    return path


def _check(better: str, worse: str, margin: float, worth: float | None, known: Mapping[str, Any]) -> None:
    if margin < 0:
        raise ValueError(f"margin ({margin}) of {better} over {worse} must be 0 or more")
    if worth is not None and worth < -margin:
        raise ValueError(f"worth ({worth}) of {better} over {worse} must be at least {-margin:g}, what may be lost")
    for name in (better, worse):
        if name not in known:
            raise ValueError(f"{name!r} is unknown: choose one of {', '.join(known)}")
