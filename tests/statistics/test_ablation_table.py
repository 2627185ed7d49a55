"""The table of an ablation says what it is given: means, anchors, normalised scores, and what it could not say."""

import csv
import io

import numpy as np
import pytest

from src.reports.formats import WIDTH, to_csv, to_markdown, to_text
from src.statistics.ablation_table import ablation_table
from src.statistics.interval import paired_difference
from src.statistics.verdict import holm

LEVELS = {
    "full": (0.5, 0.8),
    "ablation": (0.4, 0.9),
    "copy": (0.1, 1.0),
    "other": (0.7, 0.2),
    "generic": (0.6, 0.3),
}
LEVELS |= {"oracle": (0.9, 1.1), "oracle_vae": (0.8, 1.0)}
NAMES = ("copy", "other", "generic", "oracle", "oracle_vae")


def scores(name: str, people: int = 8) -> list[dict]:
    """Two prompts a family, two seeds; judges at LEVELS[name], each person a little off."""
    text, identity = LEVELS[name]
    rng = np.random.default_rng(len(name))
    return [
        {
            "file": f"images/{p}-{q}-{s}.png",
            "person": p,
            "prompt": f"prompt {q}",
            "seed": s,
            "family": "after" if q < 2 else "before",
            "photo": f"{p}.png",
            "face_found": True,
            "text/vit": text + 0.01 * rng.normal(),
            "text/resnet": text / 2,
            "identity/arc": identity,
        }
        for p in range(people)
        for q in range(4)
        for s in range(2)
    ]


def table(people: int = 8, anchors=NAMES, **options):
    measures = {name: scores(name, people) for name in anchors}
    return ablation_table(scores("full", people), scores("ablation", people), measures, **options)


def row(found, family: str, judge: str) -> dict:
    (one,) = [row for row in found.rows if row["family"] == family and row["judge"].startswith(judge)]
    return one


def test_families_judges_and_anchors():
    found = table()
    assert [row["family"] for row in found.rows] == ["after"] * 6 + ["before"] * 6 + ["all"] * 6
    one = row(found, "after", "text/resnet")
    assert [one[name] for name in ("full", "ablation", *NAMES)] == pytest.approx(
        [0.25, 0.2, 0.05, 0.35, 0.3, 0.45, 0.4]
    )
    assert one["difference"] == one["low"] == one["boot_high"] == pytest.approx(0.05)
    assert (one["people"], one["prompts"], one["seeds"]) == (8, 2, 2)
    assert row(found, "all", "text/vit")["prompts"] == 4
    assert row(found, "all", "face found")["full"] == 1


def test_normalised_rows_stand_between_their_own_floor_and_ceiling():
    found = table()
    text, identity = row(found, "all", "text (normalised"), row(found, "all", "identity (normalised")
    assert (text["copy"], text["oracle_vae"]) == pytest.approx((0, 1))
    assert text["full"] == pytest.approx(4 / 7, abs=0.01)
    assert (identity["other"], identity["oracle_vae"]) == pytest.approx((0, 1))
    assert identity["difference"] == pytest.approx(0.75 - 0.875)


def test_missing_anchors_leave_blanks_and_say_so():
    found = table(anchors=("copy",))
    assert not [row for row in found.rows if "normalised" in row["judge"]]
    assert row(found, "all", "text/vit")["oracle"] is None
    assert "no normalised text score: it needs oracle_vae among the runs" in found.notes
    assert len(found.notes) == len(set(found.notes))


def test_a_ceiling_below_its_floor_gives_no_normalised_row():
    full = scores("full")
    upside_down = {**{name: scores(name) for name in NAMES}, "oracle_vae": scores("copy")}
    found = ablation_table(full, scores("ablation"), upside_down)
    assert not [row for row in found.rows if row["judge"].startswith("text (normalised")]
    assert any("does not lie above its floor" in note for note in found.notes)


def test_incomplete_anchors_and_missing_scores_are_noted():
    full = scores("full")
    full[0]["identity/arc"] = float("nan")
    found = ablation_table(full, scores("ablation"), {"copy": scores("copy", 7)})
    assert "copy: 4 of 32 pairs of person and prompt are missing in it" in found.notes
    assert "identity/arc, all: 1 of 64 pairs have no score and are left out" in found.notes


@pytest.mark.parametrize(("people", "word"), [(1, "n = 1, fewer"), (8, "illustration (n = 8, fewer than 16 people)")])
def test_few_people_are_an_illustration(people, word):
    assert any(word in note for note in table(people).notes)
    assert (row(table(people), "all", "text/vit")["low"] is None) == (people == 1)


def test_sixteen_people_are_no_illustration_and_selecting_judges_are_marked():
    found = table(16, selecting=["text/vit"])
    assert not any("illustration" in note for note in found.notes)
    assert row(found, "all", "text/vit")["judge"] == "text/vit *"


def test_judges_one_by_one_are_corrected_within_their_kind():
    found = table(16)
    full, other = ([row for row in scores(name, 16) if row["family"] == "after"] for name in ("full", "ablation"))
    raw = {judge: paired_difference(full, other, judge).p for judge in ("text/vit", "text/resnet")}
    corrected = holm(raw)
    assert {judge: row(found, "after", judge)["p"] for judge in raw} == pytest.approx(corrected)
    identity = paired_difference(full, other, "identity/arc").p
    assert row(found, "after", "identity/arc")["p"] == pytest.approx(identity)  # alone of its kind: as it is


def test_the_primary_rows_have_a_verdict_from_16_people_on():
    notes = table(16).notes
    assert any(note.startswith("text (normalised mean), all prompts: better ([") for note in notes)
    assert any(note.startswith("identity (normalised mean), all prompts: worse ([") for note in notes)
    assert any("no verdict from 8 people" in note for note in table(8).notes)


def test_the_generators_own_tower_is_marked():
    found = table(towers=["text/vit"])
    assert row(found, "all", "text/vit")["judge"] == "text/vit †"
    assert any(note.startswith("†") for note in found.notes)


def test_unpaired_runs_are_refused():
    with pytest.raises(ValueError, match="do not pair up"):
        ablation_table(scores("full", 8), scores("ablation", 7), {})


def test_an_absent_family_is_named():
    full, other = ([row for row in scores(name) if row["family"] == "after"] for name in ("full", "ablation"))
    found = ablation_table(full, other, {})
    assert {row["family"] for row in found.rows} == {"after", "all"}
    assert any("text before S*" in note for note in found.notes)


def test_text_is_aligned_and_fits_a_terminal():
    lines = to_text(table(selecting=["text/vit"])).splitlines()
    assert max(map(len, lines)) <= WIDTH
    numbers = [line for line in lines if line.startswith(("text/", "identity/"))]
    assert len(numbers) == 9
    assert len({line.index(".") for line in numbers}) == 1
    assert "text after S* (8 people, 2 prompts, 2 seeds)" in lines
    assert "-0.000" not in to_text(table())


def test_csv_and_markdown_carry_the_same_rows():
    found = table()
    read = list(csv.DictReader(io.StringIO(to_csv(found))))
    assert [float(line["difference"]) for line in read] == [row["difference"] for row in found.rows]
    lines = [line for line in to_markdown(found).splitlines() if line.startswith("|")]
    assert len(lines) == 2 + len(found.rows)
    assert len({line.count("|") for line in lines}) == 1
