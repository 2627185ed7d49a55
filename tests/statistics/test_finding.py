"""Verdicts follow from intervals alone, and from enough people."""

import numpy as np
import pytest

from src.statistics.finding import finding
from src.statistics.verdict import NOT_SUPPORTED, SUPPORTED, UNDECIDED, together

ANCHORS = {
    "copy": [{"person": "p", "text/a": 0.0, "identity/a": 1.0}],
    "other": [{"person": "p", "text/a": 1.0, "identity/a": 0.2}],
    "oracle_vae": [{"person": "p", "text/a": 0.5, "identity/a": 0.7}],
}


def side(shift, *, people=20, spread=0.05, seed=0):
    """Scores of each person: text about .25 + shift, identity about .45 + shift."""
    rng = np.random.default_rng(seed)
    rows = []
    for person in range(people):
        for prompt in "ab":
            noise = shift + rng.normal(0, spread)
            where = {"person": f"p{person}", "prompt": prompt, "seed": 0}
            rows.append({**where, "text/a": 0.25 + noise, "identity/a": 0.45 + noise})
    return rows


def found(shift, margin=0.0, kind="text", **options):
    sides = {"new": side(shift, seed=1, **options), "old": side(0.0, seed=2, **options)}
    return finding(sides, ANCHORS, better="new", worse="old", kind=kind, margin=margin)


@pytest.mark.parametrize(
    ("shift", "margin", "verdict"),
    [
        (0.2, 0.0, SUPPORTED),
        (-0.2, 0.0, NOT_SUPPORTED),
        (0.0, 0.0, UNDECIDED),
        (0.0, 0.2, SUPPORTED),  # no loss of .2 normalised units, which are .1 of the score
        (-0.2, 0.1, NOT_SUPPORTED),
    ],
)
def test_the_interval_decides(shift, margin, verdict):
    assert found(shift, margin).verdict == verdict


def test_differences_are_in_units_from_floor_to_ceiling():
    assert found(0.2, spread=0.0).difference.mean == pytest.approx(0.4)  # text: 0 to .5
    assert found(0.2, kind="identity", spread=0.0).difference.mean == pytest.approx(0.4)  # identity: .2 to .7


def test_few_people_decide_nothing():
    assert found(0.2, people=15).verdict == UNDECIDED


def test_a_claim_needs_all_of_its_findings():
    yes, no, open_ = (found(shift).verdict for shift in (0.2, -0.2, 0.0))
    assert together([yes, yes]) == SUPPORTED
    assert together([yes, open_]) == UNDECIDED
    assert together([yes, open_, no]) == NOT_SUPPORTED


@pytest.mark.parametrize(
    ("change", "message"),
    [({"margin": -0.1}, r"margin \(-0.1\)"), ({"kind": "taste"}, "taste"), ({"better": "newer"}, "newer.*new, old")],
)
def test_what_cannot_be_tested_is_named(change, message):
    sides = {"new": side(0.0), "old": side(0.0)}
    with pytest.raises(ValueError, match=message):
        finding(sides, ANCHORS, **{"better": "new", "worse": "old", "kind": "text", "margin": 0.0, **change})
