"""What is planned from a few people is the width that studies have."""

import numpy as np
import pytest

from src.statistics.finding import finding, path_finding
from src.statistics.planning import person_values, plan_row, spread
from src.statistics.power import Components
from tests.statistics.test_finding import ANCHORS, along, side


def test_what_is_planned_from_many_people_is_the_width_of_the_test_itself():
    sides = {"new": side(0.1, people=200, seed=1), "old": side(0.0, people=200, seed=2)}
    test = {"better": "new", "worse": "old", "kind": "text", "margin": 0.0}
    values = person_values(sides, {}, ANCHORS, test, "ab")
    found = finding(sides, ANCHORS, **test).difference
    assert np.mean(list(values.values())) == pytest.approx(found.mean)
    row = plan_row(spread(sides, {}, ANCHORS, test), 200, 2, 1)
    assert row["half-width"] == pytest.approx((found.high - found.low) / 2, rel=1e-6)


def test_a_path_is_planned_by_the_same_rule():
    paths = {"new": along(0.1, people=100, seed=1), "old": along(0.0, people=100, seed=2)}
    sides = {"new": paths["new"][0], "old": paths["old"][0]}
    test = {"better": "new", "worse": "old", "kind": "text at equal identity", "margin": 0.0}
    found = path_finding(paths, ANCHORS, **test).difference
    paths = {
        name: [[{**row, "prompt": str(row["prompt"])} for row in rows] for rows in own] for name, own in paths.items()
    }
    row = plan_row(spread(sides, paths, ANCHORS, test), 100, 2, 1)
    assert row["half-width"] == pytest.approx((found.high - found.low) / 2, rel=1e-6)


def test_more_prompts_need_fewer_people_and_never_fewer_than_a_verdict_takes():
    row = plan_row(Components(people=0.01, prompts=0.08, seeds=0.0), 32, 4, 1)
    assert row["people for 0.05"] > row["if doubled"] >= 16
    assert plan_row(Components(1e-6, 1e-6, 0.0), 32, 4, 1)["people for 0.05"] == 16
