"""Verdicts follow from intervals alone, and from enough people."""

import numpy as np
import pytest

from src.statistics.finding import finding, path_finding
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


def along(lift, *, people=20, seed=0):
    """A path of three strengths: identity rises by .15, text falls by .1 a strength and lies `lift` above."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(0, 0.02, (3, people, 2, 2))
    return [
        [
            {"person": f"p{p}", "prompt": q, "seed": 0, "text/a": 0.4 - 0.1 * k + lift + noise[k, p, q, 0],
             "identity/a": 0.25 + 0.15 * k + noise[k, p, q, 1]}
            for p in range(people)
            for q in range(2)
        ]
        for k in range(3)
    ]  # fmt: skip


def test_a_path_is_tested_in_units_from_floor_to_ceiling():
    paths = {"new": along(0.1, seed=1), "old": along(0.0, seed=2)}
    found = path_finding(paths, ANCHORS, better="new", worse="old", margin=0.0)
    assert found.verdict == SUPPORTED and found.kind == "text at equal identity"
    assert found.difference.mean == pytest.approx(0.2, abs=0.02)  # .1 of a text score from 0 to .5
    assert path_finding(paths, ANCHORS, better="old", worse="new", margin=0.1).verdict == NOT_SUPPORTED
    with pytest.raises(ValueError, match="'third' is unknown: choose one of new, old"):
        path_finding(paths, ANCHORS, better="third", worse="old", margin=0.0)


def test_a_gain_too_small_to_be_worth_having_speaks_against_a_claim():
    """The interval of (0.0, spread) holds 0, and lies below a fifth of floor to ceiling."""
    sides = {"new": side(0.0, seed=1), "old": side(0.0, seed=2)}
    test = {"better": "new", "worse": "old", "kind": "text", "margin": 0.0}
    assert finding(sides, ANCHORS, **test).verdict == UNDECIDED
    assert finding(sides, ANCHORS, **test, worth=0.2).verdict == NOT_SUPPORTED
    assert finding(sides, ANCHORS, **test, worth=0.01).verdict == UNDECIDED
    clear = {"new": side(0.05, seed=1), "old": side(0.0, seed=2)}
    assert finding(clear, ANCHORS, **test, worth=0.2).verdict == SUPPORTED  # surely above 0, though small
    paths = {"new": along(0.0, seed=1), "old": along(0.0, seed=2)}
    assert path_finding(paths, ANCHORS, better="new", worse="old", margin=0.0, worth=0.2).verdict == NOT_SUPPORTED
    with pytest.raises(ValueError, match=r"worth \(-0.1\) of new over old must be at least -0.05"):
        finding(sides, ANCHORS, **{**test, "margin": 0.05}, worth=-0.1)
