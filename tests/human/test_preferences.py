"""Raters of known preference are recovered; those who don't look are found."""

import math

import numpy as np
import pytest

from src.human.preferences import agreement, strength_intervals, strengths, win_rate
from src.human.ratings import Rating, Vote, check_ratings, checked, read_ratings, without_repeats
from src.human.tables import tables_of
from src.runs.store import write_csv

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
        held.append(found.low <= chance <= found.high)
    assert 0.9 <= np.mean(held) <= 0.99


def test_a_win_rate_counts_ties_as_halves_in_the_preference_alone():
    def cast(value, k):
        return Vote("r", str(k), "q", str(k % 2), "p", "a", "b", value)

    found = win_rate([cast(value, k) for k, value in enumerate([1.0] * 6 + [0.5] * 2 + [0.0] * 2)])
    assert (found.wins, found.ties, found.losses) == (6, 2, 2)
    assert (found.rate, found.preference) == (0.75, 0.7)
    z, n, p = 1.959964, 8, 0.75
    centre, half = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    assert (found.low, found.high) == pytest.approx([(centre + s * half) / (1 + z * z / n) for s in (-1, 1)], abs=1e-5)
    assert math.isnan(win_rate([cast(0.5, 0)]).rate)


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


def kit_key():
    rows = []
    for sheet in range(5):
        for k in range(6):
            left, right = ("a", "b") if (k + sheet) % 2 else ("b", "a")
            rows.append({"kit": "K", "sheet": str(sheet), "item": f"i{k}", "person": str(k % 3), "prompt": str(k),
                         "seed": "0", "left": left, "right": right, "expected": ""})  # fmt: skip
        for k in range(2):
            expected = ("left", "right")[k]
            rows.append({"kit": "K", "sheet": str(sheet), "item": f"c{sheet}{k}", "person": "0", "prompt": "0",
                         "seed": "0", "left": "x", "right": "y", "expected": expected})  # fmt: skip
    return rows


def answers(key, rater_of, choose):
    return [Rating("K", row["sheet"], rater_of(row["sheet"]), row["item"], "text", choose(row)) for row in key]


def preferring_a(row):
    return row["expected"] or ("left" if row["left"] == "a" else "right")


def test_a_rater_who_fails_the_checks_is_named_and_left_out():
    key = kit_key()

    def choose(row):
        return "left" if row["sheet"] == "4" else preferring_a(row)

    given = answers(key, lambda sheet: f"r{sheet}", choose)
    assert checked(given, key)["r4"] == (1, 2)
    tables, notes = tables_of(given, key, ("a", "b"), ["text"], 0.75, 5)
    (row,) = tables["Preferences"].rows
    assert (row["wins"], row["losses"], row["raters"]) == (24, 0, 4)
    verdicts = {row["rater"]: row["verdict"] for row in tables["Raters"].rows}
    assert verdicts == {**{f"r{k}": "counted" for k in range(4)}, "r4": "left out"}
    assert "left out, too many checks failed: r4" in notes
    assert any("fewer than 5 counted raters" in note and "i0 text (4)" in note for note in notes)


def test_sides_do_not_matter_to_who_wins():
    key = kit_key()
    tables, notes = tables_of(answers(key, lambda s: f"r{s}", preferring_a), key, ("b", "a"), ["text"], 0.75, 5)
    (row,) = tables["Preferences"].rows
    assert (row["run"], row["against"], row["wins"], row["losses"]) == ("b", "a", 0, 30)
    assert [row["left"] for row in tables["Raters"].rows] == [0.5] * 5
    assert not notes


def test_who_answers_twice_counts_once_and_is_named():
    key = kit_key()
    given = answers(key, lambda sheet: "r", preferring_a)
    once, notes = without_repeats(given)
    assert len([rating for rating in once if rating.item.startswith("i")]) == 6
    assert "rater r answered twice" in notes[0]
    assert all(f"i{k}" in notes[0] for k in range(6))


def test_unknown_items_questions_and_answers_are_listed_by_name():
    key = kit_key()
    wrong = [
        Rating("K", "0", "r", "nonesuch", "text", "left"),
        Rating("K", "0", "r", "c10", "text", "left"),  # an item of another sheet
        Rating("K", "0", "r", "i0", "beauty", "left"),
        Rating("K", "0", "r", "i1", "text", "maybe"),
        Rating("L", "0", "r", "i1", "text", "left"),
    ]
    with pytest.raises(ValueError, match="not of this kit") as error:
        check_ratings(wrong, key, ["text"])
    for word in ("nonesuch (sheet 0, rater r)", "c10 (sheet 0", "questions: beauty", "'maybe' to i1 by r", "kits: L"):
        assert word in str(error.value)
    check_ratings(answers(key, lambda s: "r", preferring_a), key, ["text"])


@pytest.mark.parametrize("ticks", [False, True])
def test_mechanical_turks_results_are_read(tmp_path, ticks):
    about = {
        "AssignmentStatus": "Approved",
        "WorkerId": "W1",
        "Input.kit": "K",
        "Input.sheet": "2",
        "Input.item_1": "i5",
    }
    answer = {"Answer.a1-text.left": "false", "Answer.a1-text.tie": "TRUE"} if ticks else {"Answer.a1-text": "tie"}
    rejected = {**about, "AssignmentStatus": "Rejected", **answer}
    write_csv(tmp_path / "batch.csv", [{**about, **answer}, rejected])
    assert read_ratings([tmp_path / "batch.csv"]) == [Rating("K", "2", "W1", "i5", "text", "tie")]


def test_a_file_that_holds_no_ratings_is_named(tmp_path):
    (tmp_path / "a.csv").write_text("x,y\n1,2\n")
    with pytest.raises(ValueError, match=r"a\.csv holds no ratings"):
        read_ratings([tmp_path / "a.csv"])
    with pytest.raises(FileNotFoundError, match=r"b\.csv is not there"):
        read_ratings([tmp_path / "b.csv"])
