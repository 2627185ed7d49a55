"""Curves of known difference: it is found, its interval covers it, and nothing is compared beyond what both reach."""

import math

import numpy as np
import pytest

from src.statistics.path import (
    area_between,
    common_stretch,
    height,
    mean_curve,
    person_curves,
    reached,
    text_at,
    text_at_equal_identity,
)

STRENGTHS = np.array([0.0, 0.25, 0.5, 0.75, 1.0])


def path_of(rng, people, *, above=0.0, ahead=0.0, noise=0.0, spread=0.0, prompts=3):
    """Rows of a side: text falls by .6 over the path; `above` lifts the text, `ahead` reaches identity earlier.

    spread: of people, the same for both sides of a seed; noise: of every image.
    """
    lift = spread * np.random.default_rng(5).normal(size=(people, 2))
    return [
        [
            {
                "person": str(person),
                "prompt": str(prompt),
                "seed": 0,
                "identity": 0.1 + 0.8 * s + ahead + lift[person, 0] + noise * rng.normal(),
                "text": 0.9 - 0.6 * s + above + lift[person, 1] + noise * rng.normal(),
            }
            for person in range(people)
            for prompt in range(prompts)
        ]
        for s in STRENGTHS
    ]


def test_text_is_read_where_the_curve_first_reaches_an_identity():
    curve = [(0.2, 0.9), (0.6, 0.7), (0.5, 0.5), (0.8, 0.2)]
    at = text_at(curve, np.array([0.1, 0.2, 0.4, 0.6, 0.65, 0.8, 0.9]))
    assert np.isnan(at[[0, -1]]).all() and reached(curve) == (0.2, 0.8)
    assert at[1:-1] == pytest.approx([0.9, 0.8, 0.7, 0.5 - 0.3 * 0.15 / 0.3, 0.2])
    assert math.isnan(reached([])[0]) and np.isnan(text_at([], np.array([0.5]))).all()


def test_an_exact_lift_is_found_exactly_and_the_sides_change_signs():
    rng = np.random.default_rng(0)
    low, high = path_of(rng, 4, spread=0.1), path_of(rng, 4, above=0.07, spread=0.1)
    found = text_at_equal_identity(high, low)
    assert found.mean == pytest.approx(0.07) and (found.people, found.prompts, found.seeds) == (4, 3, 1)
    assert (found.low, found.high) == pytest.approx((0.07, 0.07))
    assert text_at_equal_identity(low, high).mean == pytest.approx(-0.07)


def test_whoever_reaches_identity_earlier_has_more_text_at_the_same_identity():
    rng = np.random.default_rng(0)
    slope = 0.6 / 0.8
    found = text_at_equal_identity(path_of(rng, 4, ahead=0.1), path_of(rng, 4))
    assert found.mean == pytest.approx(0.1 * slope)


def test_going_on_without_more_identity_is_not_held_against_a_side():
    path, further = [(0.2, 0.9), (0.8, 0.6)], [(0.2, 0.9), (0.8, 0.6), (0.8, 0.3), (0.75, 0.1)]
    assert height(path, further) == 0


def test_the_interval_covers_the_truth_as_often_as_it_says():
    covered, runs, truth = 0, 300, 0.05
    for seed in range(runs):
        rng = np.random.default_rng([seed, 1])
        sides = [path_of(rng, 16, above=above, noise=0.08, spread=0.1) for above in (truth, 0.0)]
        found = text_at_equal_identity(*sides)
        covered += found.low <= truth <= found.high
    assert 0.92 <= covered / runs <= 0.98  # .95 +- 2.4 standard errors of 300 runs


def test_curves_without_a_common_stretch_are_left_out_and_never_extrapolated():
    near, far = [(0.1, 0.9), (0.4, 0.7)], [(0.5, 0.6), (0.9, 0.2)]
    assert common_stretch(near, far) is None and math.isnan(height(near, far))
    assert common_stretch(near, [(0.38, 0.5), (0.9, 0.2)]) is None  # .02 of floor to ceiling
    rng = np.random.default_rng(0)
    ahead = path_of(rng, 3, ahead=2.0)
    found = text_at_equal_identity(ahead, path_of(rng, 3))
    assert found.left_out == 3 and found.people == 0 and math.isnan(found.mean)
    assert all(map(math.isnan, area_between(ahead, path_of(rng, 3))))


def test_a_strength_without_a_face_is_left_out_of_that_persons_curve_alone():
    path = path_of(np.random.default_rng(0), 2)
    for row in path[-1]:
        row["identity"] = math.nan if row["person"] == "1" else row["identity"]
    curves = person_curves(path)
    assert len(curves["0"]) == len(STRENGTHS) and len(curves["1"]) == len(STRENGTHS) - 1
    assert np.allclose(mean_curve(curves.values()), curves["0"])


def test_the_area_is_that_of_a_parallelogram_and_its_interval_holds_it():
    rng = np.random.default_rng(0)
    area, low, high = area_between(path_of(rng, 8, above=0.1), path_of(rng, 8))
    assert area == pytest.approx(0.1 * 0.8) and (low, high) == pytest.approx((area, area))
    noisy = [path_of(rng, 16, above=above, noise=0.1, spread=0.1) for above in (0.1, 0.0)]
    area, low, high = area_between(*noisy)
    assert low < 0.08 < high and low < area < high


def test_sides_of_different_people_are_refused():
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="the two sides have different people"):
        text_at_equal_identity(path_of(rng, 3), path_of(rng, 4))
    uneven = [*path_of(rng, 3)[:2], path_of(rng, 4)[2]]
    with pytest.raises(ValueError, match="the strengths of a side have different people"):
        person_curves(uneven)
