"""The rule by which settings are chosen."""

import math

import pytest

from src.statistics.selection import ranking, selection_score

JUDGES = ("text/t", "identity/i")


def rows(text, identity, people=2):
    return [{"person": p, "prompt": "x", "seed": 0, "text/t": text, "identity/i": identity} for p in range(people)]


ANCHORS = {"copy": rows(0.2, 1.0), "other": rows(0.8, 0.1), "oracle_vae": rows(0.6, 0.9)}


def test_floors_are_0_and_the_ceiling_is_1():
    assert selection_score(rows(0.6, 0.9), ANCHORS, JUDGES) == pytest.approx({"text": 1, "identity": 1, "score": 1})
    half = selection_score(rows(0.4, 0.5), ANCHORS, JUDGES)
    assert half == pytest.approx({"text": 0.5, "identity": 0.5, "score": 0.5})


def test_neither_kind_is_bought_with_the_other():
    assert selection_score(rows(0.6, 0.1), ANCHORS, JUDGES)["score"] == 0
    assert selection_score(rows(0.1, 0.9), ANCHORS, JUDGES)["score"] == 0


def test_one_judge_of_each_kind_selects():
    with pytest.raises(ValueError, match="one judge of identity"):
        selection_score(rows(0.6, 0.9), ANCHORS, ["text/t"])


def test_the_best_stands_first_and_equals_keep_their_order():
    found = ranking({"faceless": {"score": math.nan}, "a": {"score": 0.1}, "b": {"score": 0.4}, "c": {"score": 0.4}})
    assert [row["settings"] for row in found] == ["b", "c", "a", "faceless"]
