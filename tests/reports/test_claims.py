"""A claim's result survives its file, and an old one is never taken for today's."""

from dataclasses import replace

import pytest

from src.reports.claims import NOT_TESTED, Result, has_turned, is_stale, read_result, verdict_table, write_result
from src.reports.formats import to_text
from src.statistics.finding import Finding
from src.statistics.interval import Interval
from src.statistics.verdict import NOT_SUPPORTED, SUPPORTED


def result(verdict=SUPPORTED, **changes):
    interval = Interval(0.2, 0.1, 0.3, 0.05, 0.35, p=0.01, people=16, prompts=4, seeds=1, pairs=64, left_out=0)
    found = [Finding("new", "old", "text", 0.0, interval, verdict)]
    return replace(Result("new is better", found, weights="w", code="c", settings=["people=16"], asked="a"), **changes)


def test_a_result_survives_its_file(tmp_path):
    path = tmp_path / "claim" / "full.json"
    assert read_result(path) is None
    write_result(path, result())
    assert read_result(path) == result()
    assert read_result(path).verdict == SUPPORTED


def test_without_findings_nothing_is_claimed():
    assert Result("later").verdict == NOT_TESTED
    assert "other: not tested yet" in to_text(verdict_table({"other": Result("later")}))


@pytest.mark.parametrize("change", [{"weights": "other"}, {"code": "other"}, {"asked": "other"}])
def test_what_comes_from_elsewhere_is_stale_and_never_a_turn(change):
    stored = result(NOT_SUPPORTED, **change)
    assert is_stale(stored, result())
    assert not has_turned(stored, result())


def test_a_verdict_that_turns_with_nothing_changed_is_noticed():
    assert has_turned(result(NOT_SUPPORTED), result(SUPPORTED))
    assert has_turned(result(SUPPORTED), result(NOT_SUPPORTED))
    assert not has_turned(result(SUPPORTED), result(SUPPORTED))


def test_the_table_shows_each_finding_under_its_claim():
    text = to_text(verdict_table({"later": Result("not yet"), "stages": result()}))
    assert "stages: supported" in text
    assert "later: not tested yet" in text
    assert "text: new - old > 0" in text
    assert "+0.100 +0.300" in text
