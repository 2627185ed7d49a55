"""From floor to ceiling: which runs are the measure of a kind of judge, and scores in units between them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from src.files.rows import Row
from src.statistics.means import number, overall_mean

Anchors = Mapping[str, Sequence[Row]]  # rows of floors and ceilings, by name
FLOORS = {"text": "copy", "identity": "other"}  # of each kind that has a scale
CEILING = "oracle_vae"  # of both in a study
# of a folder from elsewhere, the best first: the oracle in the embedded world, else the person's own photos
CEILINGS = {"text": (CEILING, "oracle"), "identity": (CEILING, "oracle", "same")}
# what a study draws to be measured by, in the order in which tables show them
ANCHORS = {"copy": "floor", "other": "floor", "generic": "floor", "oracle": "ceiling", CEILING: "ceiling"}


@dataclass(frozen=True)
class Scale:
    """A judge's floor, which becomes 0, and its ceiling, which becomes 1."""

    floor: float
    ceiling: float

    def of(self, score: float) -> float:
        """The score in units from floor to ceiling."""
        return (score - self.floor) / (self.ceiling - self.floor)


PLAIN = Scale(0.0, 1.0)  # leaves every score as it is


def lacking(anchors: Anchors, kind: str, judges: Sequence[str], ceiling: str = CEILING) -> str:
    """Why the scores of these judges have no place between floor and ceiling, in words; "" if they have."""
    ends = {name: anchors.get(name) or () for name in (FLOORS[kind], ceiling)}
    absent = [name for name, rows in ends.items() if not rows]
    if absent:
        return f"it needs {' and '.join(absent)} among the runs"
    unseen = [f"{name} has no {judge}" for name, rows in ends.items() for judge in judges if judge not in rows[0]]
    if unseen or not judges:
        return "; ".join(unseen) or f"it needs a judge of {kind}"
    for judge in judges:
        low, high = (overall_mean(rows, judge) for rows in ends.values())
        if not high > low:
            return f"{judge}: its ceiling ({high:.3f}) does not lie above its floor ({low:.3f})"
    return ""


def scales(anchors: Anchors, kind: str, judges: Sequence[str], ceiling: str = CEILING) -> dict[str, Scale]:
    """The scale of each judge, between the means of person means of the kind's floor and of the ceiling.

    ValueError if there is none, with the reason of `lacking`.
    """
    reason = lacking(anchors, kind, judges, ceiling)
    if reason:
        raise ValueError(f"no normalised {kind} score: {reason}")
    ends = anchors[FLOORS[kind]], anchors[ceiling]
    return {judge: Scale(*(overall_mean(rows, judge) for rows in ends)) for judge in judges}


def normalised(rows: Sequence[Row], scales: Mapping[str, Scale], column: str = "normalised") -> list[dict[str, Any]]:
    """The rows with one more column: the mean over judges of the score on its judge's scale.

    A blank score of any judge makes the row's mean blank.
    """
    return [
        {**row, column: float(np.mean([scale.of(number(row[judge])) for judge, scale in scales.items()]))}
        for row in rows
    ]


def harmonic_mean(*values: float) -> float:
    """0 if any value is 0 or below; nan if any is."""
    if any(map(math.isnan, values)):
        return math.nan
    return len(values) / sum(1 / value for value in values) if min(values) > 0 else 0.0
