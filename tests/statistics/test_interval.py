"""Intervals against closed forms and their coverage; pairing refuses what does not pair."""

import math

import numpy as np
import pytest
from scipy import stats

from src.statistics.interval import cluster_bootstrap, interval, paired_difference, prompt_means, t_interval
from src.statistics.means import person_means


def rows(scores: np.ndarray) -> list[dict]:
    """scores [people, prompts, seeds] -> rows with the column "text/a"."""
    return [
        {"person": p, "prompt": f"prompt {q}", "seed": s, "text/a": float(value)}
        for (p, q, s), value in np.ndenumerate(scores)
    ]


def test_t_interval_is_the_textbook_one():
    values = np.array([1.0, 2.0, 3.0, 6.0])
    half = stats.t.ppf(0.975, 3) * values.std(ddof=1) / 2
    assert t_interval(values) == pytest.approx((3 - half, 3 + half))
    assert t_interval(values) == pytest.approx(stats.ttest_1samp(values, 0).confidence_interval(0.95))


def test_paired_difference_is_a_t_test_on_person_means():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 6, 3, 2))
    got = paired_difference(rows(a), rows(b)[::-1], "text/a")
    means = (a - b).mean(axis=(1, 2))
    want = stats.ttest_rel(a.mean(axis=(1, 2)), b.mean(axis=(1, 2))).confidence_interval(0.95)
    assert got.mean == pytest.approx(means.mean())
    assert (got.low, got.high) == pytest.approx(tuple(want))
    assert (got.people, got.prompts, got.seeds, got.pairs, got.left_out) == (6, 3, 2, 36, 0)


def test_coverage_of_the_t_interval_is_about_95_percent():
    rng = np.random.default_rng(1)
    people = rng.normal(size=(2000, 8, 1))  # 2000 studies of 8 people
    studies = (0.3 + people + rng.normal(size=(2000, 8, 4))).mean(axis=2)
    hits = [low < 0.3 < high for low, high in map(t_interval, studies)]
    assert abs(np.mean(hits) - 0.95) < 0.015


def test_coverage_of_the_bootstrap_with_random_people_and_prompts():
    rng = np.random.default_rng(2)
    hits = []
    for _ in range(200):
        people, prompts = rng.normal(size=(20, 1)), rng.normal(size=(1, 20))
        cells = people + prompts + rng.normal(size=(20, 20))
        who, what = np.indices(cells.shape).astype(str)
        low, high = cluster_bootstrap(cells.ravel(), who.ravel(), what.ravel(), draws=400)
        hits.append(low < 0 < high)
    assert 0.88 < np.mean(hits) <= 1


def test_bootstrap_is_seeded_contains_the_mean_and_feels_the_prompts():
    rng = np.random.default_rng(3)
    noise = 0.01 * rng.normal(size=(10, 8, 2))
    calm, stormy = (
        paired_difference(rows(1 + noise + effect), rows(0 * noise), "text/a")
        for effect in (0, rng.normal(size=(1, 8, 1)))
    )
    again = paired_difference(rows(1 + noise), rows(0 * noise), "text/a")
    assert (calm.boot_low, calm.boot_high) == (again.boot_low, again.boot_high)
    assert calm.boot_low < calm.mean < calm.boot_high
    assert stormy.boot_low < stormy.mean < stormy.boot_high
    assert stormy.boot_high - stormy.boot_low > 10 * (calm.boot_high - calm.boot_low)
    assert stormy.high - stormy.low == pytest.approx(calm.high - calm.low)  # t: these very prompts


def test_one_person_has_no_interval():
    got = paired_difference(rows(np.ones((1, 2, 2))), rows(np.zeros((1, 2, 2))), "text/a")
    assert got.mean == 1
    assert all(map(math.isnan, (got.low, got.high, got.boot_low, got.boot_high)))


@pytest.mark.parametrize("spoil", ["missing", "twice"])
def test_pairing_refuses_what_does_not_pair(spoil):
    a = rows(np.zeros((2, 2, 2)))
    b = {"missing": a[:-1], "twice": [*a, a[-1]]}[spoil]
    with pytest.raises(ValueError, match=r"person, prompt, seed: 1 cells differ \(person=1, prompt=prompt 1, seed=1\)"):
        paired_difference(a, b, "text/a")


def test_pairing_refuses_no_rows_at_all():
    with pytest.raises(ValueError, match="no rows"):
        paired_difference([], [], "text/a")


def test_fresh_noise_pairs_by_person_and_prompt():
    a = rows(np.full((3, 2, 2), 2.0))
    b = [{**row, "seed": 100 + row["seed"], "text/a": row["seed"]} for row in a]
    assert paired_difference(a, b, "text/a", pair=("person", "prompt")).mean == pytest.approx(1.5)


def test_text_from_csv_pairs_with_numbers_and_blanks_are_counted():
    a = rows(np.ones((3, 2, 2)))
    b = [{name: str(value) for name, value in row.items()} for row in a]
    b[0]["text/a"] = ""
    got = paired_difference(a, b, "text/a")
    assert (got.mean, got.pairs, got.left_out) == (0, 11, 1)


def test_an_interval_is_about_the_mean_of_person_means_with_blanks_left_out():
    scored = [{"person": p, "prompt": q, "seed": 0, "text/a": p + q} for p in (1, 2, 6) for q in (0, 1)]
    scored.append({"person": 6, "prompt": 2, "seed": 0, "text/a": ""})
    found = interval(scored, "text/a")
    assert found.mean == pytest.approx(3.5)
    assert (found.low, found.high) == pytest.approx(t_interval(list(person_means(scored, "text/a").values())))
    assert (found.people, found.prompts, found.pairs, found.left_out) == (3, 2, 6, 1)
    assert math.isnan(interval(scored, "text/b").mean)


def test_a_prompts_means_are_those_of_its_rows():
    scored = rows(np.random.default_rng(5).normal(size=(4, 3, 2)))
    for prompt, (mean, low, high) in prompt_means(scored, "text/a").items():
        own = list(person_means([row for row in scored if row["prompt"] == prompt], "text/a").values())
        assert (mean, low, high) == pytest.approx((np.mean(own), *t_interval(own)))
