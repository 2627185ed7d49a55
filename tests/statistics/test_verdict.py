"""Verdicts and corrected p-values: textbook cases, and error rates on synthetic studies."""

import math

import numpy as np
import pytest

from src.statistics.interval import Interval, p_value, t_interval
from src.statistics.verdict import NOT_SUPPORTED, SUPPORTED, UNDECIDED, holm, outcome, sentence, verdict


def found(low: float, high: float, people: int = 16) -> Interval:
    counts = {"prompts": 4, "seeds": 2, "pairs": 128, "left_out": 0}
    return Interval((low + high) / 2, low, high, low, high, people=people, **counts)


def test_holm_on_the_textbook_case():
    """p = .01, .04, .03, .005: times 4, 3, 2, 1 in order of size, never falling."""
    assert holm({"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005}) == pytest.approx(
        {"a": 0.03, "b": 0.06, "c": 0.06, "d": 0.02}
    )
    assert holm({"a": 0.6, "b": 0.9}) == {"a": 1.0, "b": 1.0}


def test_holm_leaves_out_what_has_no_p():
    found = holm({"a": 0.02, "b": math.nan})
    assert found["a"] == 0.02 and math.isnan(found["b"])


def test_holm_keeps_the_family_wise_error_at_5_percent():
    rng = np.random.default_rng(0)
    studies = rng.normal(size=(600, 5, 16))  # 600 studies of 5 judges that see nothing in 16 people
    wrong = [min(holm({str(j): p_value(judge) for j, judge in enumerate(study)}).values()) < 0.05 for study in studies]
    assert np.mean(wrong) < 0.08


def test_p_and_interval_agree():
    rng = np.random.default_rng(1)
    for values in rng.normal(0.3, size=(50, 12)):
        low, high = t_interval(values)
        assert (p_value(values) < 0.05) == (low > 0 or high < 0)
    assert math.isnan(p_value([1.0])) and p_value([2.0, 2.0]) == 0 and p_value([0.0, 0.0]) == 1


@pytest.mark.parametrize(
    ("low", "high", "wanted"),
    [
        (0.01, 0.2, "better"),
        (-0.2, -0.01, "worse"),
        (-0.05, 0.05, "equal"),
        (0.01, 0.04, "equal"),
        (-0.04, 0.2, "no worse"),
        (-0.2, 0.04, "no better"),
        (-0.2, 0.2, "undecided"),
        (math.nan, math.nan, "undecided"),
    ],
)
def test_the_outcome_of_a_table(low, high, wanted):
    assert outcome(found(low, high)) == wanted
    assert outcome(found(low, high, people=15)) == UNDECIDED


@pytest.mark.parametrize(
    ("low", "high", "bare", "margin"),
    [
        (0.01, 0.2, SUPPORTED, SUPPORTED),
        (-0.2, -0.06, NOT_SUPPORTED, NOT_SUPPORTED),
        (-0.04, -0.01, NOT_SUPPORTED, SUPPORTED),
        (-0.04, 0.2, UNDECIDED, SUPPORTED),
        (-0.2, 0.2, UNDECIDED, UNDECIDED),
    ],
)
def test_claims_and_tables_agree(low, high, bare, margin):
    """A claim is about one side of its bound; the outcome says of both sides what the claims about them would."""
    assert (verdict(found(low, high)), verdict(found(low, high), margin=0.05)) == (bare, margin)
    assert (margin == SUPPORTED) == (outcome(found(low, high)) in ("better", "equal", "no worse"))
    assert verdict(found(low, high, people=15)) == UNDECIDED


def test_what_is_truly_worse_by_the_margin_is_rarely_called_equal_or_no_worse():
    rng = np.random.default_rng(2)
    calls = [outcome(found(*t_interval(study))) for study in rng.normal(-0.05, 0.05, size=(1000, 20))]
    assert sum(call in ("equal", "no worse") for call in calls) / len(calls) < 0.04


def test_the_sentence_names_interval_and_margin():
    assert sentence(found(0.02, 0.18), "text") == "text: better ([+0.020, +0.180], margin 0.05)"
    assert sentence(found(0.02, 0.18, people=3), "text") == "text: no verdict from 3 people (it takes 16)"
