"""Where one side stands between floor and ceiling, with its interval over people."""

from collections.abc import Sequence
from typing import Any

from src.files.rows import Row, judge_columns
from src.statistics.interval import interval
from src.statistics.scale import FLOORS, Anchors, normalised, scales

NOTE = "normalised between floor and ceiling, mean over judges; 95 %: t-interval over people"  # under a table of levels


def level(rows: Sequence[Row], anchors: Anchors) -> dict[str, Any]:
    """text, text_low, text_high, identity, ...: the mean over judges of the normalised score, and people's number.

    images: over how many, those with a score of every judge, of the kind that has fewer. The 95 % t-interval is over
    person means, nan for one person. ValueError without a scale, or if no image has a score of every judge of a kind.
    """
    found: dict[str, Any] = {}
    for kind in FLOORS:
        own = interval(normalised(rows, scales(anchors, kind, judge_columns(rows, kind))), "normalised")
        if not own.people:
            raise ValueError(f"no image has a score of every judge of {kind}: it has no level")
        found |= {kind: own.mean, f"{kind}_low": own.low, f"{kind}_high": own.high, "people": own.people}
        found["images"] = min(own.pairs, found.get("images", own.pairs))
    return found
