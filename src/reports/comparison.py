"""The numbers of a comparison of several runs: estimates with intervals, the Pareto front, means of prompts."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from src.runs.sides import Side, cell_of
from src.statistics.differences import (
    Difference,
    cluster_bootstrap,
    normalised,
    number,
    overall_mean,
    paired_difference,
    person_means,
    scale,
    t_interval,
)
from src.statistics.tables import CEILING, FLOORS, Row

KINDS = tuple(FLOORS)  # text, identity
FACES = "face_found"


@dataclass(frozen=True)
class Estimate:
    """A mean of person means with its t-interval and its cluster bootstrap interval, both of 95 %; nan if unknown."""

    mean: float
    low: float
    high: float
    boot_low: float
    boot_high: float
    people: int


def score_columns(sides: Sequence[Side]) -> list[str]:
    """The columns of judges ("text/...", "identity/...", then others with a "/") and the rate of faces found."""
    names = list(dict.fromkeys(name for side in sides for name in side.rows[0]))
    judges = [name for name in names if "/" in name]
    known = [name for kind in KINDS for name in judges if name.startswith(f"{kind}/")]
    return [*known, *(name for name in judges if name not in known), *([FACES] if FACES in names else [])]


def with_overall(sides: Sequence[Side]) -> tuple[list[Side], dict[str, str], list[str]]:
    """The runs with a column "text" and a column "identity", the mean over judges; what they are; and notes.

    They are normalised between floor and ceiling (docs/method.md, section 6) where both are among the runs, else the
    mean of plain scores. A blank score of any judge makes the row's mean blank. Kinds without a judge have no column.
    """
    labels, notes = {}, []
    for kind in KINDS:
        judges = [name for name in score_columns(sides) if name.startswith(f"{kind}/")]
        if not judges:
            notes.append(f"no judge of {kind} is common to the runs")
            continue
        reason = _not_normalised(sides, kind, judges)
        if reason:
            notes.append(f"{kind}: plain mean of {len(judges)} judges, not normalised: {reason}")
            sides = [replace(side, rows=[{**row, kind: _mean(row, judges)} for row in side.rows]) for side in sides]
        else:
            floor, ceiling = _rows_of(sides, FLOORS[kind]), _rows_of(sides, CEILING)
            scored = [normalised(side.rows, floor, ceiling, judges) for side in sides]
            renamed = [[{**row, kind: row["normalised"]} for row in rows] for rows in scored]
            sides = [replace(side, rows=rows) for side, rows in zip(sides, renamed, strict=True)]
        labels[kind] = f"{kind}: mean of {', '.join(judges)}" + (
            "" if reason else ", normalised between floor and ceiling"
        )
    return list(sides), labels, notes


def _rows_of(sides: Sequence[Side], kind: str) -> list[dict]:
    return [row for side in sides if side.kind == kind for row in side.rows]


def _mean(row: Row, judges: Sequence[str]) -> float:
    return sum(number(row.get(judge)) for judge in judges) / len(judges)


def _not_normalised(sides: Sequence[Side], kind: str, judges: Sequence[str]) -> str:
    """Why these judges' scores cannot be put between floor and ceiling; "" if they can."""
    absent = [name for name in (FLOORS[kind], CEILING) if not _rows_of(sides, name)]
    if absent:
        return f"it needs {' and '.join(absent)} among the runs"
    lacking = [f"{side.name} has no {judge}" for side in sides for judge in judges if judge not in side.rows[0]]
    if lacking:
        return "; ".join(lacking)
    try:
        for judge in judges:
            scale(_rows_of(sides, FLOORS[kind]), _rows_of(sides, CEILING), judge)
    except ValueError as error:
        return str(error)
    return ""


def estimate(rows: Sequence[Row], column: str) -> Estimate:
    """Mean of person means of a column with both intervals; rows without a score are left out."""
    known = [row for row in rows if not math.isnan(number(row.get(column)))]
    if not known:
        return Estimate(math.nan, math.nan, math.nan, math.nan, math.nan, 0)
    means = list(person_means(known, column).values())
    values = [number(row[column]) for row in known]
    people, prompts = ([str(row[name]) for row in known] for name in ("person", "prompt"))
    low_high, boot = t_interval(means), cluster_bootstrap(values, people, prompts)
    return Estimate(overall_mean(known, column), *low_high, *boot, len(means))


def front(points: Mapping[str, tuple[float, float]]) -> list[str]:
    """The names of points that no other point beats in one coordinate without losing in the other; more is better.

    In the order of the first coordinate. Points with nan are on no front.
    """
    known = {name: point for name, point in points.items() if not any(map(math.isnan, point))}

    def beaten(point: tuple[float, float]) -> bool:
        return any(
            all(a >= b for a, b in zip(other, point, strict=True)) and other != point for other in known.values()
        )

    return sorted((name for name, point in known.items() if not beaten(point)), key=lambda name: known[name])


def common_front(sides: Sequence[Side], x: str, y: str) -> tuple[list[str], str]:
    """The front of the methods among the runs in two columns, and in words over how many images if not over all.

    Only images count of which every method has both scores: a score that is missing must not make a mean better.
    """
    methods = [side for side in sides if side.role == "method"]
    scored = [{c for c, row in side.cells().items() if _has(row, x) and _has(row, y)} for side in methods]
    common, every = set.intersection(*scored), {cell for side in methods for cell in side.cells()}
    rows = {side.name: [row for cell, row in side.cells().items() if cell in common] for side in methods}
    points = {name: (overall_mean(own, x), overall_mean(own, y)) for name, own in rows.items()} if common else {}
    note = f"the front is over the {len(common)} of {len(every)} images of which every method has all scores"
    return front(points), note if len(common) < len(every) else ""


def _has(row: Row, column: str) -> bool:
    return not math.isnan(number(row.get(column)))


def prompt_estimates(rows: Sequence[Row], column: str) -> dict[str, tuple[float, float, float]]:
    """For each prompt the mean of person means and its t-interval over people."""
    found = {}
    for prompt in dict.fromkeys(str(row["prompt"]) for row in rows):
        known = [r for r in rows if str(r["prompt"]) == prompt and not math.isnan(number(r.get(column)))]
        means = list(person_means(known, column).values())
        found[prompt] = (sum(means) / len(means) if means else math.nan, *t_interval(means))
    return found


def difference(side: Side, reference: Side, column: str) -> Difference | None:
    """The paired difference side - reference over the images that both have; None if they have none in common."""
    common = side.cells().keys() & reference.cells().keys()
    if not common or any(column not in rows[0] for rows in (side.rows, reference.rows)):
        return None
    a, b = ([row for row in rows if cell_of(row) in common] for rows in (side.rows, reference.rows))
    return paired_difference(a, b, column)
