"""What the functions say of the same scores stays as it is, digit by digit: fixed_numbers.json was stored once.

`python tests/statistics/test_fixed_numbers.py` stores it anew, for a change of a number that is meant.
"""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from src.reports import comparison_tables
from src.runs.sides import Side
from src.statistics.ablation_table import ablation_table
from src.statistics.finding import finding
from src.statistics.interval import cluster_bootstrap, interval, paired_difference, prompt_means
from src.statistics.levels import level
from src.statistics.means import column_means
from src.statistics.score_table import score_table
from src.statistics.selection import selection_score

STORED = Path(__file__).with_name("fixed_numbers.json")
LEVELS = {  # text/a, text/b, identity/c of each side
    "full": (0.27, 0.25, 0.62),
    "ablation": (0.24, 0.23, 0.63),
    "copy": (0.12, 0.10, 1.00),
    "other": (0.30, 0.27, 0.05),
    "generic": (0.29, 0.27, 0.08),
    "oracle_vae": (0.32, 0.29, 0.90),
    "same": (0.10, 0.09, 0.80),
}


def scores(name: str, people: int) -> list[dict]:
    """Two prompts a family, two seeds; every seventh face of a method is missed."""
    rng = np.random.default_rng([people, *name.encode()])
    rows = []
    for person in range(people):
        for prompt in range(4):
            for seed in range(2):
                ease = np.random.default_rng([person, prompt]).normal() * 0.02
                given = dict(zip(("text/a", "text/b", "identity/c"), LEVELS[name], strict=True))
                row = {column: round(mean + ease + 0.02 * rng.normal(), 5) for column, mean in given.items()}
                missed = name in ("full", "ablation") and rng.uniform() < 1 / 7
                row |= {"identity/c": ""} if missed else {}
                where = {"file": f"{person}-{prompt}-{seed}.png", "person": f"p{person}", "prompt": f"prompt {prompt}"}
                where |= {"seed": seed, "family": "after" if prompt < 2 else "before", "photo": ""}
                rows.append({**where, **row, "right/a": int(rng.uniform() < 0.5), "faces/c": int(not missed),
                             "face_found": not missed})  # fmt: skip
    return rows


def columns(table) -> dict:
    """A table column by column, with its notes."""
    return {**{name: [row[name] for row in table.rows] for name in table.rows[0]}, "notes": table.notes}


def said(people: int) -> dict:
    """Everything that is said of these scores, as plain data."""
    sides = {name: scores(name, people) for name in LEVELS}
    full, ablation = sides["full"], sides["ablation"]
    anchors = {name: rows for name, rows in sides.items() if name not in ("full", "ablation", "same")}
    test = {"better": "full", "worse": "ablation"}
    compared = [Side(name, name, Path(), rows, {"unet_evaluations": 9}, {}) for name, rows in sides.items()]
    overall, labels, _ = comparison_tables.with_overall(compared)
    plain, plain_labels, _ = comparison_tables.with_overall(compared[:2])
    found = {
        "ablation": columns(ablation_table(full, ablation, anchors, selecting=["text/a"])),
        "score": columns(score_table(full, anchors)),
        "score same": columns(score_table(full, {name: sides[name] for name in ("other", "same")})),
        "level": level(full, anchors),
        "selection": selection_score(full, anchors, ["text/a", "identity/c"]),
        "verdicts": [
            [finding(sides, anchors, **test, kind=kind, margin=margin).verdict for margin in (0, 0.05, 0.2)]
            for kind in ("text", "identity")
        ],
        "overview": columns(comparison_tables.overview(overall, labels)),
        "plain": columns(comparison_tables.overview(plain, plain_labels)),
        "differences": columns(comparison_tables.differences(overall, overall[0], ["text", "identity", "text/b"])),
        "estimates": columns(comparison_tables.estimates_table(estimates(overall, ["text", "identity", "text/a"]))),
        "papers": columns(comparison_tables.paper_layout(compared, "text", ["text/a", "text/b"], {})),
        "prompts": prompt_means(full, "identity/c"),
        "means": column_means(full),
        "bootstrap": cluster_bootstrap([row["text/a"] for row in full], *([row[name] for row in full]
                                       for name in ("person", "prompt")), seed=3),
        "p": [paired_difference(full, ablation, "text/a", pair=("person", "prompt")).p],
    }  # fmt: skip
    return found


def estimates(sides, names) -> dict:
    return {side.name: {name: interval(side.rows, name) for name in names} for side in sides}


def summed(value, place: int = 1) -> float:
    """One number for all numbers in it, each weighted by its place; blanks and words are nothing."""
    if isinstance(value, dict | list | tuple):
        parts = value.values() if isinstance(value, dict) else value
        return math.fsum(summed(part, k) * (1 + place) for k, part in enumerate(parts, 1))
    return place * float(value) if isinstance(value, int | float) and not math.isnan(value) else 0.0


def sums(people: int) -> dict[str, dict[str, float]]:
    """A number for each thing that is said, for each column of a table."""
    return {
        name: {part: summed(value) for part, value in (found.items() if isinstance(found, dict) else [("", found)])}
        for name, found in said(people).items()
    }


@pytest.mark.parametrize("people", [1, 3, 17])
def test_numbers_are_those_that_were_stored(people):
    """Up to the 13th digit, since Python sums floats in another way from 3.12 on."""
    stored, now = json.loads(STORED.read_text())[str(people)], sums(people)
    assert now.keys() == stored.keys()
    for name, columns in stored.items():
        assert now[name] == pytest.approx(columns, rel=1e-12, abs=1e-12), name


def test_the_scores_leave_some_out_and_decide_something():
    found = said(17)
    assert any("left out" in note for note in found["ablation"]["notes"])
    assert {verdict for verdicts in found["verdicts"] for verdict in verdicts} >= {"supported", "not supported"}
    assert math.isnan(said(1)["level"]["text_low"])


if __name__ == "__main__":
    STORED.write_text(json.dumps({str(people): sums(people) for people in (1, 3, 17)}, indent=0))
