"""Ratings are read by their kit's key; who does not look, answers twice or answers something else is named."""

import pytest

from src.human.ratings import Rating, check_ratings, checked, read_ratings, without_repeats
from src.human.tables import tables_of
from src.runs.store import write_csv


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
