"""The Pareto front of text and identity: what no other method beats in one without losing in the other."""

import math
from collections.abc import Mapping, Sequence

from src.files.rows import Row, cell_of
from src.statistics.means import number, overall_mean


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


def common_front(methods: Mapping[str, Sequence[Row]], x: str, y: str) -> tuple[list[str], str]:
    """The front of methods, name -> rows, in two columns, and in words over how many images if not over all.

    Only images count of which every method has both scores: a score that is missing must not make a mean better.
    """
    cells = {name: {cell_of(row): row for row in rows} for name, rows in methods.items()}
    scored = [{c for c, row in own.items() if _has(row, x) and _has(row, y)} for own in cells.values()]
    common, every = set.intersection(*scored), {cell for own in cells.values() for cell in own}
    rows = {name: [row for cell, row in own.items() if cell in common] for name, own in cells.items()}
    points = {name: (overall_mean(own, x), overall_mean(own, y)) for name, own in rows.items()} if common else {}
    note = f"the front is over the {len(common)} of {len(every)} images of which every method has all scores"
    return front(points), note if len(common) < len(every) else ""


def _has(row: Row, column: str) -> bool:
    return not math.isnan(number(row.get(column)))
