"""Where one side stands between floor and ceiling, with its interval over people."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from src.statistics.differences import normalised, person_means, t_interval
from src.statistics.tables import CEILING, FLOORS, Row


def level(rows: Sequence[Row], anchors: Mapping[str, Sequence[Row]]) -> dict[str, Any]:
    """text, text_low, text_high, identity, ...: the mean over judges of the normalised score, and people's number.

    images: over how many, those with a score of every judge, of the kind that has fewer.
    anchors: rows of the floors and of the ceiling. The 95 % t-interval is over person means, nan for one person.
    """
    found: dict[str, Any] = {}
    for kind, floor in FLOORS.items():
        judges = [column for column in rows[0] if column.startswith(f"{kind}/")]
        scores = normalised(rows, anchors[floor], anchors[CEILING], judges)
        means = [mean for mean in person_means(scores, "normalised").values() if not math.isnan(mean)]
        if not means:
            raise ValueError(f"no image has a score of every judge of {kind}: it has no level")
        found[kind] = sum(means) / len(means)
        found[f"{kind}_low"], found[f"{kind}_high"] = t_interval(means)
        found["people"] = len(means)
        scored = sum(not math.isnan(row["normalised"]) for row in scores)
        found["images"] = min(scored, found.get("images", scored))
    return found
