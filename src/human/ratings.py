"""Ratings that came back: read from the pages' CSV or from Mechanical Turk's, and checked against the kit's key."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from src.files.sheets import read_sheet
from src.human.kits import ANSWERS, MARK

KITS = ("kit", "Input.kit")
COLUMNS = ("kit", "sheet", "rater", "item", "question", "answer")
TURK = re.compile(r"Answer\.a(\d+)-([^.]+)(?:\.(\w+))?")  # a number, a question, and an answer if it is a tick


@dataclass(frozen=True)
class Rating:
    """One answer of one rater: "left", "right" or "tie"."""

    kit: str
    sheet: str
    rater: str
    item: str
    question: str
    answer: str


@dataclass(frozen=True)
class Vote:
    """A rating read by the key. first, second: the runs; value: 1 for the first, 0.5 for a tie, 0 for the second."""

    rater: str
    item: str
    question: str
    person: str
    prompt: str
    first: str
    second: str
    value: float


def read_ratings(paths: Sequence[Path]) -> list[Rating]:
    """All ratings of CSV files that a page saved, or of Mechanical Turk's files of results (rejected work left out).

    Raises:
        FileNotFoundError: a file is missing.
        ValueError: a file has neither the pages' columns nor Mechanical Turk's.
    """
    return [rating for path in paths for rating in _ratings_of(Path(path))]


def _ratings_of(path: Path) -> Iterator[Rating]:
    if not path.is_file():
        raise FileNotFoundError(f"{path} is not there: name the CSV files of the raters")
    rows = [row | {name: row[name].removeprefix(MARK) for name in KITS if name in row} for row in read_sheet(path)]
    columns = set(rows[0]) if rows else set()
    if set(COLUMNS) <= columns:
        yield from (Rating(*(row[name] for name in COLUMNS)) for row in rows)
    elif {"WorkerId", "Input.kit", "Input.sheet"} <= columns:
        for row in rows:
            if row.get("AssignmentStatus") != "Rejected":
                yield from _of_worker(row)
    else:
        raise ValueError(f"{path} holds no ratings: it needs the columns {', '.join(COLUMNS)}, or those of MTurk")


def with_zeros(ratings: Sequence[Rating], key: Sequence[Mapping[str, str]]) -> list[Rating]:
    """The ratings, in which sheet 1 is the key's sheet 001: spreadsheets take the zeros of older kits away."""
    sheets = {row["sheet"] for row in key}
    numbers = {str(int(name)): name for name in sheets if name.isdecimal()}
    return [r if r.sheet in sheets else replace(r, sheet=numbers.get(r.sheet, r.sheet)) for r in ratings]


def _of_worker(row: Mapping[str, str]) -> Iterator[Rating]:
    """The answers of one assignment, given as `Answer.a1-text` = left or as `Answer.a1-text.left` = true."""
    for column, value in row.items():
        match = TURK.fullmatch(column)
        if not match or value in ("", None):
            continue
        number, question, ticked = match.groups()
        if ticked is None or value.lower() == "true":
            item = row.get(f"Input.item_{number}") or f"item {number} of sheet {row['Input.sheet']}"
            yield Rating(row["Input.kit"], row["Input.sheet"], row["WorkerId"], item, question, ticked or value)


def check_ratings(ratings: Sequence[Rating], key: Sequence[Mapping[str, str]], questions: Sequence[str]) -> None:
    """ValueError naming everything in the ratings that the kit does not know: kits, items, questions, answers."""
    kits = {row["kit"] for row in key}
    known = {(row["sheet"], row["item"]) for row in key}
    wrong: dict[str, dict[str, None]] = {}
    for r in ratings:
        if r.kit not in kits:
            wrong.setdefault("kits", {})[r.kit] = None
        elif (r.sheet, r.item) not in known:
            wrong.setdefault("items", {})[f"{r.item} (sheet {r.sheet}, rater {r.rater})"] = None
        if r.question not in questions:
            wrong.setdefault("questions", {})[r.question] = None
        if r.answer not in ANSWERS:
            wrong.setdefault("answers", {})[f"{r.answer!r} to {r.item} by {r.rater}"] = None
    if wrong or not ratings:
        listed = "; ".join(f"unknown {what}: {', '.join(names)}" for what, names in wrong.items())
        raise ValueError(f"these ratings are not of this kit: {listed or 'there are none'}")


def without_repeats(ratings: Sequence[Rating]) -> tuple[list[Rating], list[str]]:
    """The first answer of each rater to each item and question; and, in words, who answered which item again."""
    first: dict[tuple[str, str, str], Rating] = {}
    again: dict[str, dict[str, None]] = {}
    for rating in ratings:
        place = (rating.rater, rating.item, rating.question)
        if place in first:
            again.setdefault(rating.rater, {})[rating.item] = None
        first.setdefault(place, rating)
    notes = [f"rater {who} answered twice, the first counts: {', '.join(items)}" for who, items in again.items()]
    return list(first.values()), notes


def checked(ratings: Sequence[Rating], key: Sequence[Mapping[str, str]]) -> dict[str, tuple[int, int]]:
    """For each rater, how many answers to attention checks were right, and how many there were."""
    expected = {row["item"]: row["expected"] for row in key if row["expected"]}
    passed = {rating.rater: (0, 0) for rating in ratings}
    for r in ratings:
        if r.item in expected:
            right, asked = passed[r.rater]
            passed[r.rater] = (right + (r.answer == expected[r.item]), asked + 1)
    return passed


def votes_of(ratings: Sequence[Rating], key: Sequence[Mapping[str, str]], runs: Sequence[str]) -> list[Vote]:
    """The ratings of pairs of runs, attention checks left out, turned so that `first` comes first among `runs`."""
    pairs = {(row["sheet"], row["item"]): row for row in key if not row["expected"]}
    votes = []
    for r in ratings:
        row = pairs.get((r.sheet, r.item))
        if row is None:
            continue
        first, second = sorted((row["left"], row["right"]), key=list(runs).index)
        value = 0.5 if r.answer == "tie" else float(row[r.answer] == first)
        votes.append(Vote(r.rater, r.item, r.question, row["person"], row["prompt"], first, second, value))
    return votes
