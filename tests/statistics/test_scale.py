"""Floors become 0 and ceilings 1, and what has no scale says why."""

import math

import numpy as np
import pytest

from src.statistics.means import overall_mean
from src.statistics.scale import PLAIN, Scale, harmonic_mean, lacking, normalised, scales

JUDGES = ["text/a", "text/b"]


def rows(level: float) -> list[dict]:
    """Two judges in different units, three people."""
    scores = level + np.random.default_rng(4).normal(size=3)
    return [{"person": p, "text/a": float(score), "text/b": 5 * float(score) + 1} for p, score in enumerate(scores)]


ANCHORS = {"copy": rows(0), "oracle_vae": rows(9), "oracle": rows(-9)}


def test_the_floor_is_0_and_the_ceiling_1():
    measures = scales(ANCHORS, "text", JUDGES)
    for name, wanted in (("copy", 0), ("oracle_vae", 1), ("oracle", -1)):
        assert overall_mean(normalised(ANCHORS[name], measures), "normalised") == pytest.approx(wanted)


def test_a_plain_scale_gives_the_mean_of_the_scores_and_a_blank_stays_blank():
    one, two = normalised([{"text/a": 1, "text/b": 4}, {"text/a": "", "text/b": 4}], dict.fromkeys(JUDGES, PLAIN), "m")
    assert one["m"] == 2.5 and math.isnan(two["m"])
    assert Scale(2, 4).of(3) == 0.5


@pytest.mark.parametrize(
    ("anchors", "judges", "ceiling", "reason"),
    [
        ({}, JUDGES, "oracle_vae", "it needs copy and oracle_vae among the runs"),
        ({"copy": rows(0)}, JUDGES, "oracle_vae", "it needs oracle_vae among the runs"),
        (ANCHORS, [], "oracle_vae", "it needs a judge of text"),
        (ANCHORS, ["text/c"], "oracle_vae", "copy has no text/c; oracle_vae has no text/c"),
        (ANCHORS, JUDGES, "oracle", "text/a: its ceiling .* does not lie above its floor"),
    ],
)
def test_what_has_no_scale_says_why(anchors, judges, ceiling, reason):
    with pytest.raises(ValueError, match=f"no normalised text score: {reason}"):
        scales(anchors, "text", judges, ceiling)
    assert lacking(anchors, "text", judges, ceiling)
    assert not lacking(ANCHORS, "text", JUDGES)


def test_the_harmonic_mean():
    assert harmonic_mean(0.5, 1.0) == pytest.approx(2 / 3)
    assert harmonic_mean(0.3, -0.1) == 0
    assert math.isnan(harmonic_mean(math.nan, -0.1))
