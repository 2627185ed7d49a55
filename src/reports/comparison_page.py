"""The HTML page of a comparison: what is in it, as data for the program that draws."""

import hashlib
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from src.files import html
from src.files.pictures import decode_picture
from src.files.rows import CELL, Row, cell_of
from src.reports.formats import plain_rows
from src.runs.digests import file_digest
from src.runs.sides import Side
from src.statistics.front import common_front
from src.statistics.interval import Interval, prompt_means
from src.statistics.means import number
from src.statistics.scale import FLOORS
from src.statistics.table import Table

ASSETS = Path(__file__).parent / "assets"
Point = tuple[float | None, ...]


def comparison_page(
    sides: Sequence[Side],
    estimates: Mapping[str, Mapping[str, Interval]],
    tables: Mapping[str, Table],
    *,
    labels: Mapping[str, str],
    notes: Sequence[str],
    pixels: int,
) -> str:
    """The page. estimates: run -> column -> estimate; tables: heading -> table; labels: what a column holds.

    pixels: pictures larger than this are reduced to it. Raises ValueError naming a picture that cannot be read.
    """
    pictures = Pictures(pixels)
    columns = list(next(iter(estimates.values())))
    data = {
        "runs": [_run(side) for side in sides],
        "columns": [{"key": name, "label": labels.get(name, name), "kind": _kind(name)} for name in columns],
        "estimates": {run: {c: _five(e) for c, e in by_column.items()} for run, by_column in estimates.items()},
        "fronts": _fronts(sides, columns),
        "prompts": _prompts(sides, columns),
        "cells": _cells(sides, columns, pictures),
        "tables": [{"title": title, "notes": table.notes, **plain_rows(table)} for title, table in tables.items()],
        "notes": list(notes),
        "pictures": pictures.data,
    }
    return html.filled(ASSETS / "compare.html", data=data)


def assets() -> dict[str, str]:
    """The digest of each file that the page is made of."""
    return {path.name: file_digest(path) for path in html.parts(ASSETS)}


class Pictures:
    """Pictures as data URIs, each content once; `data` lists them, `add` gives the place of one in it."""

    def __init__(self, pixels: int):
        self.pixels = pixels
        self.data: list[str] = []
        self._known: dict[str, int] = {}

    def add(self, path: Path) -> int:
        """The place of this file's picture in `data`. ValueError if it cannot be read."""
        uri = html.data_uri(decode_picture(path), self.pixels)
        key = hashlib.sha256(uri.encode()).hexdigest()
        if key not in self._known:
            self._known[key] = len(self.data)
            self.data.append(uri)
        return self._known[key]


def _run(side: Side) -> dict[str, Any]:
    about = {name: side.about.get(name) for name in ("digest", "commit", "started")}
    about |= {"folder": f"{side.folder.parent.name}/{side.folder.name}", "images": len(side.rows)}
    return {"name": side.name, "kind": side.kind, "role": side.role, **about}


def _kind(column: str) -> str:
    return column.partition("/")[0]


def _five(estimate: Interval) -> Point:
    return _known(estimate.mean, estimate.low, estimate.high, estimate.boot_low, estimate.boot_high)


def _known(*values: float) -> Point:
    """nan has no JSON."""
    return tuple(None if math.isnan(value) else round(value, 5) for value in values)


def _fronts(sides: Sequence[Side], columns: Sequence[str]) -> dict[str, dict[str, list[str]]]:
    """text column -> identity column -> the methods on the Pareto front."""
    text, identity = ([name for name in columns if _kind(name) == kind] for kind in FLOORS)
    methods = {side.name: side.rows for side in sides if side.role == "method"}
    return {x: {y: common_front(methods, x, y)[0] for y in identity} for x in text}


def _prompts(sides: Sequence[Side], columns: Sequence[str]) -> list[dict[str, Any]]:
    """Each prompt with its family and, for each run and column, mean and t-interval."""
    families = {str(row["prompt"]): str(row.get("family", "")) for side in sides for row in side.rows}
    means = {side.name: {column: prompt_means(side.rows, column) for column in columns} for side in sides}
    return [
        {
            "prompt": prompt,
            "family": family,
            "means": {
                run: {column: _known(*each[prompt]) for column, each in by_column.items() if prompt in each}
                for run, by_column in means.items()
            },
        }
        for prompt, family in families.items()
    ]


def _cells(sides: Sequence[Side], columns: Sequence[str], pictures: Pictures) -> list[dict[str, Any]]:
    """Each person, prompt and seed with the photo and with every run's picture and scores."""
    by_side = {side.name: (side, side.cells()) for side in sides}
    cells = []
    for cell in dict.fromkeys(cell_of(row) for side in sides for row in side.rows):
        drawn = {name: (side, rows[cell]) for name, (side, rows) in by_side.items() if cell in rows}
        cells.append(
            {
                **dict(zip(CELL, cell, strict=True)),
                "family": next(iter(drawn.values()))[1].get("family", ""),
                "photo": _photo(list(drawn.values()), pictures),
                "shown": {n: pictures.add(side.file(row["file"])) for n, (side, row) in drawn.items() if row["file"]},
                "scores": {name: [_score(row, column) for column in columns] for name, (_, row) in drawn.items()},
            }
        )
    return cells


def _photo(drawn: Sequence[tuple[Side, Row]], pictures: Pictures) -> int | None:
    """The reference photo of the first run that keeps one."""
    files = [side.file(row["photo"]) for side, row in drawn if row.get("photo")]
    return next((pictures.add(file) for file in files if file.is_file()), None)


def _score(row: Row, column: str) -> float | None:
    return _known(number(row.get(column)))[0]
