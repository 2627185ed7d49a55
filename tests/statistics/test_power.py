"""Variance components are recovered, and the sizes they ask for give the width they promise."""

import numpy as np
import pytest

from src.statistics.interval import interval
from src.statistics.power import Components, components_by_halves, enough_people, half_width

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


def test_halves_of_the_prompts_tell_people_from_prompts():
    table = np.array([row["x"] for row in drawn(np.random.default_rng(4), 6000, 6, 1)]).reshape(6000, 6)
    found = components_by_halves(lambda prompts: list(table[:, [int(q) for q in prompts]].mean(1)), list("012345"))
    own = TRUE.prompts + TRUE.seeds  # one seed: both vary from prompt to prompt
    assert (found.people, found.prompts) == pytest.approx((TRUE.people, own), rel=0.1)
    assert found.of_person_mean(6, 1) == pytest.approx(table.mean(1).var(ddof=1))
    alone = components_by_halves(lambda prompts: list(table[:, 0]), ["0"])
    assert (alone.people, alone.prompts) == (pytest.approx(table[:, 0].var(ddof=1)), 0)
    with pytest.raises(ValueError, match="1 people have no variance"):
        components_by_halves(lambda prompts: [0.5, np.nan], ["0"])
