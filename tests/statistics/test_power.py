"""Variance components are recovered, and the sizes they ask for give the width they promise."""

import numpy as np
import pytest

from src.statistics.interval import interval
from src.statistics.power import Components, cheapest, components, components_by_halves, enough_people, half_width

TRUE = Components(people=0.02, prompts=0.05, seeds=0.08)


def drawn(rng, people, prompts, seeds, found=TRUE):
    common = rng.normal(size=prompts)  # what a prompt does to everybody
    rows = []
    for person in range(people):
        own = found.people**0.5 * rng.normal()
        for prompt in range(prompts):
            here = own + common[prompt] + found.prompts**0.5 * rng.normal()
            for seed in range(seeds):
                value = here + found.seeds**0.5 * rng.normal()
                rows.append({"person": person, "prompt": prompt, "seed": seed, "x": value})
    return rows


def test_components_are_recovered_from_many_people():
    found = components(drawn(np.random.default_rng(0), 3000, 4, 3), "x")
    assert (found.people, found.prompts, found.seeds) == pytest.approx((0.02, 0.05, 0.08), rel=0.1)


def test_a_person_mean_has_the_variance_that_its_people_show():
    rows = drawn(np.random.default_rng(1), 4000, 4, 1)
    means = np.array([row["x"] for row in rows]).reshape(4000, 4).mean(1)
    assert components(rows, "x").of_person_mean(4, 1) == pytest.approx(means.var(ddof=1), rel=1e-6)
    assert TRUE.of_person_mean(8, 2) == pytest.approx(0.02 + 0.05 / 8 + 0.08 / 16)


def test_the_predicted_width_is_the_mean_width_of_studies():
    rng = np.random.default_rng(2)
    widths = []
    for _ in range(40):
        found = interval(drawn(rng, 24, 6, 2), "x")
        widths.append((found.high - found.low) / 2)
    assert half_width(TRUE, 24, 6, 2) == pytest.approx(np.mean(widths), rel=0.1)


def test_enough_people_are_the_fewest_that_reach_the_width():
    people = enough_people(0.03, 0.05)
    assert (
        half_width(Components(0.03, 0, 0), people, 1, 1) <= 0.05 < half_width(Components(0.03, 0, 0), people - 1, 1, 1)
    )
    assert enough_people(0.03, 0.05, least=100) == 100 and enough_people(50.0, 0.001) is None
    with pytest.raises(ValueError, match=r"half-width \(0\) must be above 0"):
        enough_people(0.03, 0)


def test_the_cheapest_study_reaches_the_width_with_the_fewest_images():
    people, prompts, seeds = cheapest(TRUE, 0.05, (2, 4, 8), (1, 2), least=16)
    assert half_width(TRUE, people, prompts, seeds) <= 0.05
    images = people * prompts * seeds
    for p in (2, 4, 8):
        for s in (1, 2):
            n = enough_people(TRUE.of_person_mean(p, s), 0.05, least=16)
            assert n * p * s >= images
    assert cheapest(Components(50.0, 0, 0), 0.001, (1,), (1,)) is None


def test_rows_that_tell_no_variances_apart_are_refused():
    rows = drawn(np.random.default_rng(3), 3, 2, 1)
    with pytest.raises(ValueError, match="x: 5 scores of 3 people don't tell variances apart"):
        components(rows[:-1], "x")
    with pytest.raises(ValueError, match="of 1 people"):
        components(rows[:2], "x")


def test_halves_of_the_prompts_tell_people_from_prompts():
    table = np.array([row["x"] for row in drawn(np.random.default_rng(4), 6000, 6, 1)]).reshape(6000, 6)
    found = components_by_halves(lambda prompts: list(table[:, [int(q) for q in prompts]].mean(1)), list("012345"))
    by_rows = components(drawn(np.random.default_rng(4), 6000, 6, 1), "x")
    assert (found.people, found.prompts) == pytest.approx((by_rows.people, by_rows.prompts), rel=0.1)
    assert found.of_person_mean(6, 1) == pytest.approx(table.mean(1).var(ddof=1))
    alone = components_by_halves(lambda prompts: list(table[:, 0]), ["0"])
    assert (alone.people, alone.prompts) == (pytest.approx(table[:, 0].var(ddof=1)), 0)
    with pytest.raises(ValueError, match="1 people have no variance"):
        components_by_halves(lambda prompts: [0.5, np.nan], ["0"])
