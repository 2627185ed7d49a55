"""The table of one judged folder: means, intervals, scales and counts, and a coverage test on synthetic scores."""

import numpy as np
import pytest

from src.statistics.score_table import score_table


def rows(scores: np.ndarray, **more) -> list[dict]:
    """scores [people, prompts, seeds] -> rows with text/a = score, identity/i = score / 2."""
    return [
        {"person": p, "prompt": f"prompt {q}", "seed": s, "family": "after" if q % 2 else "before", "text/a": float(v)}
        | {"identity/i": float(v) / 2, "faces/i": 1, **more}
        for (p, q, s), v in np.ndenumerate(scores)
    ]


def line(table, judge: str, family: str = "all") -> dict:
    (one,) = [row for row in table.rows if row["judge"].startswith(judge) and row["family"] == family]
    return one


ONES = np.ones((4, 2, 2))
ANCHORS = {"copy": rows(0 * ONES), "other": rows(0.2 * ONES), "oracle_vae": rows(ONES)}


def test_scores_stand_between_floor_and_ceiling_with_all_counts():
    table = score_table(rows(0.5 * ONES), ANCHORS)
    one = line(table, "text/a")
    assert (one["mean"], one["floor"], one["ceiling"], one["normalised"]) == (0.5, 0, 1, 0.5)
    assert (one["people"], one["prompts"], one["seeds"], one["images"]) == (4, 2, 2, 16)
    identity = line(table, "identity/i")
    assert identity["normalised"] == pytest.approx((0.25 - 0.1) / (0.5 - 0.1))
    joint = 2 / (1 / 0.5 + 1 / identity["normalised"])
    assert line(table, "harmonic mean")["mean"] == pytest.approx(joint)
    assert {row["family"] for row in table.rows} == {"after", "before", "all"}


def test_without_anchors_there_are_raw_scores_and_a_note():
    table = score_table(rows(0.5 * ONES), {})
    assert line(table, "text/a")["normalised"] is None
    assert line(table, "harmonic mean of text and identity (raw")["mean"] == pytest.approx(2 / (1 / 0.5 + 1 / 0.25))
    assert sum("no normalised" in note for note in table.notes) == 2


def test_the_photos_of_the_same_person_are_a_ceiling_where_there_is_no_oracle():
    table = score_table(rows(0.5 * ONES), {"other": rows(0 * ONES), "same": rows(ONES)})
    assert line(table, "identity/i")["ceiling"] == 0.5


def test_rates_of_no_face_and_several_stand_beside_the_mean_and_blanks_are_left_out():
    scored = rows(0.5 * ONES)
    scored[0] |= {"faces/i": 0, "identity/i": ""}
    scored[1]["faces/i"] = 3
    one = line(score_table(scored, {}), "identity/i")
    assert (one["no_face"], one["several"], one["images"], one["mean"]) == (1 / 16, 1 / 16, 15, 0.25)


def test_few_people_are_an_illustration_and_marks_stand_behind_the_name():
    table = score_table(rows(ONES), {}, marks={"text/a": " †"})
    assert line(table, "text/a")["judge"] == "text/a †"
    assert "illustration (n = 4, fewer than 16 people)" in table.notes
    assert line(score_table(rows(ONES[:1]), {}), "text/a")["low"] is None


def test_both_intervals_hold_the_truth_about_95_percent_of_the_time():
    rng, hits = np.random.default_rng(3), []
    for _ in range(150):
        people, prompts = rng.normal(size=(16, 1, 1)), 0.3 * rng.normal(size=(1, 12, 1))
        scores = 0.3 + people + prompts - prompts.mean() + rng.normal(size=(16, 12, 1))
        keep = ("person", "prompt", "seed", "text/a")
        plain = [{"family": "all", **{name: row[name] for name in keep}} for row in rows(scores)]
        one = line(score_table(plain, {}), "text/a")
        hits.append([one["low"] < 0.3 < one["high"], one["boot_low"] < 0.3 < one["boot_high"]])
    t, boot = np.mean(hits, axis=0)
    assert 0.9 < t < 0.99 and 0.88 < boot <= 1
