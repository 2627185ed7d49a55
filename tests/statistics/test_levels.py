"""A side's level: 0 at the floor, 1 at the ceiling, with an interval over people."""

import io

import pytest
from PIL import Image

from src.reports.figures import curves
from src.statistics.levels import level

ANCHORS = {
    "copy": [{"person": "p", "text/a": 0.1, "text/b": 0.0, "identity/a": 1.0}],
    "other": [{"person": "p", "text/a": 0.4, "text/b": 0.2, "identity/a": 0.2}],
    "oracle_vae": [{"person": "p", "text/a": 0.3, "text/b": 0.2, "identity/a": 0.7}],
}


def rows(*text):
    return [
        {"person": k, "prompt": "x", "seed": 0, "text/a": t, "text/b": t - 0.1, "identity/a": 0.45}
        for k, t in enumerate(text)
    ]


def test_a_level_is_the_mean_over_judges_between_floor_and_ceiling():
    found = level(rows(0.1, 0.3), ANCHORS)
    assert found["text"] == pytest.approx(0.5)
    assert found["text_low"] < 0.5 < found["text_high"]
    assert found["identity"] == pytest.approx(0.5)
    assert found["identity_low"] == pytest.approx(found["identity_high"])
    assert found["people"] == 2


def test_curves_are_a_picture():
    points = [{"lambda": x, "sampler": "base", **level(rows(0.1, 0.3 - x), ANCHORS)} for x in (0.0, 0.1)]
    picture = Image.open(io.BytesIO(curves(points, x="lambda", y=("text", "identity"), by="sampler")))
    assert picture.format == "PNG"
    assert picture.width > picture.height > 100
