"""`python -m src.human_eval` from two runs to a verdict, with simulated raters."""

import csv
import re
from pathlib import Path

import numpy as np
import pytest

from src import human_eval
from src.files.sheets import read_sheet
from src.runs.store import write_csv

COLUMNS = ("kit", "sheet", "rater", "item", "question", "answer")


@pytest.fixture
def kit(typed, made):
    words = ["make", made["full"], made["no_fusion"], "questions={text: 'Which fits better?'}", "per_sheet=12"]
    status, printed, complaint = typed(human_eval, *words)
    assert status == 0, complaint
    return Path(re.search(r"pages: +(\S+)/pages", printed)[1])


def simulate(kit: Path, folder: Path, chance: float, careless: str = "") -> list[Path]:
    """One CSV for each sheet; the first run is preferred with this chance, the careless sheet's rater says left."""
    rng, paths = np.random.default_rng(0), []
    rows = read_sheet(kit / "key.csv")
    for sheet in dict.fromkeys(row["sheet"] for row in rows):
        given = []
        for row in rows:
            if row["sheet"] == sheet:
                wins = rng.uniform() < chance
                answer = row["expected"] or ("left" if (row["left"] == "full") == wins else "right")
                answer = "left" if sheet == careless else answer
                given.append([row["kit"], sheet, f"rater {sheet}", row["item"], "text", answer])
        paths.append(folder / f"ratings-{sheet}.csv")
        write_csv(paths[-1], [dict(zip(COLUMNS, values, strict=True)) for values in given])
    return paths


def test_a_known_preference_is_found(typed, kit, tmp_path):
    files = simulate(kit, tmp_path, 0.8)
    status, printed, complaint = typed(human_eval, "score", *files)
    assert status == 0, complaint
    results = Path(re.search(r"results: (\S+)", printed)[1])
    (row,) = read_sheet(results.parent / "preferences.csv")
    low, high = map(float, row["95 % (Wilson)"].split())
    assert row["run"] == "full"
    assert low < 0.8 < high
    assert low > 0.5
    assert row["items"] == "24"
    assert int(row["wins"]) + int(row["losses"]) == 24 * 5
    assert "Bradley-Terry" in results.read_text()
    strengths = [line["run"] for line in read_sheet(results.parent / "strengths.csv")]
    assert strengths == ["full", "no_fusion"]


def test_a_careless_rater_is_named(typed, kit, tmp_path):
    status, printed, complaint = typed(
        human_eval, "score", *simulate(kit, tmp_path, 0.8, careless="s003"), "pass_rate=1"
    )
    assert status == 0, complaint
    assert "too many checks failed: rater s003" in printed
    assert "fewer than 5 counted raters" in printed


def test_the_kit_keeps_its_key_apart_and_is_made_once(typed, kit, made):
    assert {path.name for path in kit.iterdir()} >= {"pages", "mturk", "images", "key.csv"}
    stamps = {path: path.stat().st_mtime_ns for path in kit.rglob("*.html")}
    words = ["make", made["full"], made["no_fusion"], "questions={text: 'Which fits better?'}", "per_sheet=12"]
    assert typed(human_eval, *words)[0] == 0
    assert stamps == {path: path.stat().st_mtime_ns for path in kit.rglob("*.html")}
    with open(kit / "mturk" / "hits.csv", newline="") as file:
        tokens = {Path(value).stem for row in csv.DictReader(file) for value in row.values() if value.endswith(".png")}
    assert tokens == {path.stem for path in (kit / "images").iterdir()}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], ["make RUN RUN"]),
        (["judge", "x"], ["make RUN RUN"]),
        (["make", "RUN"], ["at least two runs"]),
        (["make", "RUN", "OTHER", "raters=0"], ["raters (0)"]),
        (["score", "nowhere.csv"], ["nowhere.csv"]),
        (["score", "FOREIGN"], ["somekit", "kit=FOLDER"]),
        (["score", "STRANGE"], ["unknown items", "nonesuch (sheet s001, rater me)"]),
    ],
)
def test_bad_input_ends_with_one_sentence(typed, kit, made, tmp_path, words, said):
    row = dict(zip(COLUMNS, (kit.name, "s001", "me", "nonesuch", "text", "left"), strict=True))
    write_csv(tmp_path / "strange.csv", [row])
    write_csv(tmp_path / "foreign.csv", [{**row, "kit": "somekit"}])
    places = {"RUN": made["full"], "OTHER": made["no_fusion"]}
    places |= {"STRANGE": tmp_path / "strange.csv", "FOREIGN": tmp_path / "foreign.csv"}
    status, _, complaint = typed(human_eval, *(places.get(word, word) for word in words))
    assert status == 1
    assert complaint.startswith("error: ")
    assert all(word in complaint for word in said), complaint
    assert not list(tmp_path.glob("runs/human_score/*/summary.json"))
