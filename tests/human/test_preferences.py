"""What raters of known preference prefer is recovered."""

import math

import numpy as np
import pytest

from src.human.preferences import agreement, strength_intervals, strengths, win_rate
from src.human.ratings import Vote

RUNS = ("a", "b", "c")
TRUE = {"a": 0.8, "b": 0.0, "c": -0.8}


def simulated(rng, *, people=12, prompts=6, raters=5, ties=0.1, pairs=(("a", "b"), ("a", "c"), ("b", "c"))):
    """Votes of raters who prefer by the true strengths, with a share of ties."""
    found = []
    for first, second in pairs:
        chance = 1 / (1 + math.exp(TRUE[second] - TRUE[first]))
        for person in range(people):
            for prompt in range(prompts):
                for rater in range(raters):
                    value = 0.5 if rng.uniform() < ties else float(rng.uniform() < chance)
                    item = f"{first}{second}{person}-{prompt}"
                    found.append(Vote(f"r{rater}", item, "text", str(person), str(prompt), first, second, value))
    return found


def test_wilsons_interval_holds_the_true_rate_about_95_times_in_100():
    rng = np.random.default_rng(0)
    chance = 1 / (1 + math.exp(-0.8))
    held = []
    for _ in range(200):
        found = win_rate(simulated(rng, people=3, prompts=4, pairs=[("a", "b")]))
        low, high = map(float, found["95 % (Wilson)"].split())
        held.append(low <= chance <= high)
    assert 0.9 <= np.mean(held) <= 0.99


def test_a_win_rate_counts_ties_as_halves_in_the_preference_alone():
    def cast(value, k):
        return Vote("r", str(k), "q", str(k % 2), "p", "a", "b", value)

    found = win_rate([cast(value, k) for k, value in enumerate([1.0] * 6 + [0.5] * 2 + [0.0] * 2)])
    assert (found["wins"], found["ties"], found["losses"]) == (6, 2, 2)
    assert (found["win rate"], found["preference"]) == (0.75, 0.7)
    z, n, p = 1.959964, 8, 0.75
    centre, half = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    assert found["95 % (Wilson)"] == " ".join(f"{(centre + s * half) / (1 + z * z / n):.3f}" for s in (-1, 1))
    assert math.isnan(win_rate([cast(0.5, 0)])["win rate"])


def test_strengths_of_simulated_raters_are_recovered():
    votes = simulated(np.random.default_rng(1), people=30, prompts=10, ties=0.0)
    found = strengths(votes, RUNS)
    assert found == pytest.approx(TRUE, abs=0.12)
    for name, (low, high) in strength_intervals(votes, RUNS).items():
        assert low - 0.1 < TRUE[name] < high + 0.1
        assert high - low < 0.4


def test_a_run_that_always_wins_has_a_finite_strength():
    votes = [Vote("r", str(k), "q", str(k), "p", "a", "b", 1.0) for k in range(10)]
    found = strengths(votes, ("a", "b"))
    assert 1 < found["a"] - found["b"] < 20


def test_alpha_is_one_in_agreement_and_near_nought_by_chance():
    rng = np.random.default_rng(0)
    agreed = [Vote(f"r{r}", str(k), "q", "p", "p", "a", "b", (k % 3) / 2) for k in range(40) for r in range(5)]
    chance = [Vote(v.rater, v.item, "q", "p", "p", "a", "b", float(rng.integers(2))) for v in agreed]
    assert agreement(agreed) == pytest.approx(1)
    assert abs(agreement(chance)) < 0.15
    assert math.isnan(agreement([Vote("r", "1", "q", "p", "p", "a", "b", 1.0)]))
