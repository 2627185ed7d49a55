"""What a claim along the path of learning shows: the area between mean curves, and their figure."""

import io

import numpy as np
import pytest
from PIL import Image

from src.reports import figures
from src.reports.claim_pages import Evidence, path_points, path_table
from src.reports.claims import Result
from src.statistics.finding import path_finding
from tests.statistics.test_finding import ANCHORS, along


class Kept:
    """A run that was made before: its scores alone."""

    def __init__(self, rows):
        self.rows = rows

    def scores(self):
        return self.rows


def test_a_path_is_shown_by_its_area_and_its_curve():
    rows = {"new": along(0.1, seed=1), "old": along(0.0, seed=2)}
    paths = {name: [f"{name}, {k}" for k in range(3)] for name in rows}
    sides = {side: Kept(own) for name in rows for side, own in zip(paths[name], rows[name], strict=True)}
    evidence = Evidence(sides, {name: Kept(own) for name, own in ANCHORS.items()}, [], paths=paths)
    found = path_finding(rows, ANCHORS, better="new", worse="old", margin=0.0)
    (shown,) = path_table(Result("new is better", [found]), evidence).rows
    low, high = map(float, shown["identity from, to"].split())
    assert shown["area"] == pytest.approx(0.2 * (high - low), rel=0.05)  # .2 of text, floor to ceiling
    points = path_points(evidence)
    assert [point["strength"] for point in points] == ["0", "1", "2"] * 2
    assert np.ptp(np.asarray(Image.open(io.BytesIO(figures.paths(points))).convert("L"))) > 100
