"""Cells of rows as numbers, and their means: every person has the same weight, blanks are left out."""

import math
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from src.files.rows import Row


def number(value: Any) -> float:
    """A cell of a row as a number: blank is nan, true and false are 1 and 0. ValueError for other words."""
    if value is None or value == "":
        return math.nan
    if value in ("True", "False"):
        return float(value == "True")
    return float(value)


def mean(values: Sequence[float]) -> float:
    """The mean of those that are known, nan if none is."""
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan


def person_means(rows: Sequence[Row], column: str) -> dict[str, float]:
    """The mean of a column for each person; nan if all of a person's are blank."""
    cells: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        cells[str(row["person"])].append(number(row[column]))
    return {name: mean(values) for name, values in cells.items()}


def overall_mean(rows: Sequence[Row], column: str) -> float:
    """The mean of person means; nan if there is none."""
    return mean(list(person_means(rows, column).values()))


def column_means(rows: Sequence[Row]) -> dict[str, Any]:
    """The plain mean over images of every judge's column and of face_found: what a summary holds.

    "scored" says of each column over how many images its mean is, where that is not over all.
    """
    columns = [name for name in (rows[0] if rows else ()) if "/" in name or name == "face_found"]
    known = {name: [value for value in (number(row[name]) for row in rows) if value == value] for name in columns}
    fewer = {name: len(values) for name, values in known.items() if len(values) < len(rows)}
    return {name: mean(values) for name, values in known.items() if values} | ({"scored": fewer} if fewer else {})


def over_how_many(rows: Sequence[Row], column: str) -> str:
    """ "12 of 16 images" where a column has blanks, "" where it has none (or nothing else)."""
    known = sum(not math.isnan(number(row.get(column))) for row in rows)
    return f"{known} of {len(rows)} images" if 0 < known < len(rows) else ""
