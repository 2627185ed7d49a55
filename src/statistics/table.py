"""A table as a value: numbers and words. How it is shown is the business of reports."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from src.files.rows import Row

FAMILIES = {"after": "text after S*", "before": "text before S*", "all": "all prompts"}
INTERVALS = "95 %: t-interval on person means, then the cluster bootstrap"


@dataclass(frozen=True)
class Table:
    """Rows with the same columns, and lines to be read with them. A cell: a word, a number, the two ends of an
    interval, or None for a blank."""

    rows: list[dict[str, Any]]
    notes: list[str] = field(default_factory=list)


def blanked(row: Mapping[str, Any]) -> dict[str, Any]:
    """The row with a blank for each number, and each interval, that is nan."""
    return {name: None if _is_nan(value) else value for name, value in row.items()}


def _is_nan(value: Any) -> bool:
    return any(isinstance(end, float) and math.isnan(end) for end in (value if isinstance(value, tuple) else (value,)))


def sizes(rows: Sequence[Row]) -> dict[str, int]:
    """The numbers of people, prompts and seeds."""
    counted = {"people": "person", "prompts": "prompt", "seeds": "seed"}
    return {many: len({str(row[one]) for row in rows}) for many, one in counted.items()}


def in_family(rows: Sequence[Row], family: str) -> list[Row]:
    """The rows of prompts of one family, or of "all"."""
    return [row for row in rows if family in ("all", row["family"])]
