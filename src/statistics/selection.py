"""How a setting is chosen: the harmonic mean of normalised text and identity, by the selecting judges alone."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from src.files.rows import Row
from src.statistics.means import overall_mean
from src.statistics.scale import FLOORS, Anchors, harmonic_mean, normalised, scales


def selection_score(rows: Sequence[Row], anchors: Anchors, selecting: Sequence[str]) -> dict[str, float]:
    """Text and identity, each normalised between its floor (0) and the ceiling (1), and their harmonic mean ("score").

    selecting: one judge of each kind, "text/..." and "identity/...". What lies below its floor counts as 0, so that
    neither kind can be bought with the loss of the other. ValueError without a judge of each kind, or without a scale.
    """
    found: dict[str, float] = {}
    for kind in FLOORS:
        judges = [judge for judge in selecting if judge.startswith(f"{kind}/")]
        if len(judges) != 1:
            raise ValueError(f"judges.selecting ({', '.join(selecting)}) must name one judge of {kind}")
        found[kind] = overall_mean(normalised(rows, scales(anchors, kind, judges)), "normalised")
    return {**found, "score": harmonic_mean(*found.values())}


def ranking(scores: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Settings with their scores, the best first, those without one last; equal ones stay in their order."""
    rows = [{"settings": name, **score} for name, score in scores.items()]
    return sorted(rows, key=lambda row: math.inf if math.isnan(row["score"]) else -row["score"])
