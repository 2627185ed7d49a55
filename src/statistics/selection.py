"""How a setting is chosen: the harmonic mean of normalised text and identity, by the selecting judges alone."""

from collections.abc import Mapping, Sequence
from typing import Any

from src.statistics.differences import normalised, overall_mean
from src.statistics.tables import CEILING, FLOORS, Row


def selection_score(
    rows: Sequence[Row], anchors: Mapping[str, Sequence[Row]], selecting: Sequence[str]
) -> dict[str, float]:
    """Text and identity, each normalised between its floor (0) and the ceiling (1), and their harmonic mean ("score").

    anchors: rows of the floors and of the ceiling. selecting: one judge of each kind, "text/..." and "identity/...".
    What lies below its floor counts as 0, so that neither kind can be bought with the loss of the other.
    Raises ValueError without a judge of each kind, or if a judge's ceiling does not lie above its floor.
    """
    found: dict[str, float] = {}
    for kind, floor in FLOORS.items():
        judges = [judge for judge in selecting if judge.startswith(f"{kind}/")]
        if len(judges) != 1:
            raise ValueError(f"judges.selecting ({', '.join(selecting)}) must name one judge of {kind}")
        found[kind] = overall_mean(normalised(rows, anchors[floor], anchors[CEILING], judges), "normalised")
    return {**found, "score": harmonic_mean(*found.values())}


def harmonic_mean(*values: float) -> float:
    """0 if any value is 0 or below."""
    return len(values) / sum(1 / value for value in values) if min(values) > 0 else 0.0


def ranking(scores: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Settings with their scores, the best first; equal ones stay in their order."""
    rows = [{"settings": name, **score} for name, score in scores.items()]
    return sorted(rows, key=lambda row: -row["score"])
