"""Rows of scores.csv, one an image: what their columns are called, once for all."""

from collections.abc import Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]
Rows = list[dict[str, Any]]
Cell = tuple[str, ...]  # the values of CELL, as text
CELL = ("person", "prompt", "seed")  # what names an image in every run, and pairs runs
COLUMNS = ("file", *CELL, "family", "photo")  # what a row says besides scores
KINDS = ("text", "identity", "image")  # of judges; a judge's column is KIND/NAME


def cell_of(row: Row, names: Sequence[str] = CELL) -> Cell:
    """Person, prompt and seed of a row, as text."""
    return tuple(str(row[name]) for name in names)


def judge_columns(rows: Sequence[Row], kind: str) -> list[str]:
    """The columns of the judges of a kind, in the order of the first row; [] without rows."""
    return [name for name in (rows[0] if rows else ()) if name.startswith(f"{kind}/")]
