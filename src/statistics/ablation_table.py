"""The table of the full method against an ablation, between floors and ceilings."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from src.files.rows import Row, judge_columns
from src.statistics.interval import paired_difference
from src.statistics.means import over_how_many, overall_mean
from src.statistics.scale import ANCHORS, FLOORS, Anchors, lacking, normalised, scales
from src.statistics.table import FAMILIES, INTERVALS, Table, blanked, in_family, sizes
from src.statistics.verdict import few_people, holm, sentence

Sides = Mapping[str, Sequence[Row]]
Notes = dict[str, None]  # an ordered set


def ablation_table(
    full: Sequence[Row],
    other: Sequence[Row],
    anchors: Anchors,
    *,
    selecting: Sequence[str] = (),
    towers: Sequence[str] = (),
) -> Table:
    """Full method against `other` (the ablation), by prompt family and over all prompts, by all judges of `full`.

    full, other, and each of the anchors (those of ANCHORS, each may be missing): rows of scores.csv. selecting: the
    judges that settings were selected with, marked *; towers: those whose backbone is the generator's own text tower,
    marked †.
    First in each family stand the primary rows: the mean over judges of the score normalised between floor and
    ceiling; their outcomes are in the notes. "p" is the two-sided t-test on person means, of judges one by one
    Holm-corrected within family and kind. ValueError if full and other do not pair up.
    """
    judges = {kind: judge_columns(full, kind) for kind in FLOORS}
    marks = {judge: " *" if judge in selecting else "" for own in judges.values() for judge in own}
    marks = {judge: mark + (" †" if judge in towers else "") for judge, mark in marks.items()}
    notes: Notes = {}
    rows = []
    for family in FAMILIES:
        sides = {"full": full, "ablation": other, **{name: anchors.get(name, []) for name in ANCHORS}}
        sides = {name: in_family(side, family) for name, side in sides.items()}
        if not sides["full"] and not sides["ablation"]:
            notes[f"no prompt of the family {FAMILIES[family]!r} was in this run"] = None
            continue
        _check_cover(sides, notes)
        for kind, own in judges.items():
            rows += _primary(sides, family, kind, own, notes)
        for own in judges.values():
            rows += _one_by_one(sides, family, own, marks, notes)
        if any("face_found" in row for row in full):
            rows.append(_row(sides, family, "face found (share of images)", "face_found", notes))
    if not rows:
        notes["no judge scored these images: look at the grid, or name judges (conf/judges)"] = None
    return Table([blanked(row) for row in rows], [*notes, *_closing(full, selecting, towers)])


def _check_cover(sides: Sides, notes: Notes) -> None:
    """Note anchors that miss some of the people and prompts they are to be the measure of."""
    wanted = {(str(row["person"]), str(row["prompt"])) for row in sides["full"]}
    for name in ANCHORS:
        missing = wanted - {(str(row["person"]), str(row["prompt"])) for row in sides[name]}
        if sides[name] and missing:
            notes[f"{name}: {len(missing)} of {len(wanted)} pairs of person and prompt are missing in it"] = None


def _primary(sides: Sides, family: str, kind: str, judges: Sequence[str], notes: Notes) -> list[dict[str, Any]]:
    """The row of the normalised mean over judges with its outcome noted, or none and a note that says why not."""
    reason = lacking(sides, kind, judges)
    if reason:
        notes[f"no normalised {kind} score: {reason}"] = None
        return []
    measures = scales(sides, kind, judges)
    placed = {name: normalised(side, measures) for name, side in sides.items()}
    return [_row(placed, family, f"{kind} (normalised mean)", "normalised", notes, decides=True)]


def _one_by_one(
    sides: Sides, family: str, judges: Sequence[str], marks: Mapping[str, str], notes: Notes
) -> list[dict[str, Any]]:
    """A row for each judge of a kind, with its mark, and its p Holm-corrected among them."""
    rows = {judge: _row(sides, family, judge, judge, notes) for judge in judges}
    p = holm({judge: row["p"] for judge, row in rows.items()})
    return [{**row, "judge": f"{judge}{marks[judge]}", "p": p[judge]} for judge, row in rows.items()]


def _row(sides: Sides, family: str, label: str, column: str, notes: Notes, *, decides: bool = False) -> dict[str, Any]:
    """One row of the table: means of all sides, the paired difference and its intervals."""
    difference = paired_difference(sides["full"], sides["ablation"], column)
    if difference.left_out:
        total = difference.pairs + difference.left_out
        notes[f"{label}, {family}: {difference.left_out} of {total} pairs have no score and are left out"] = None
    if decides:
        notes[sentence(difference, f"{label}, {FAMILIES[family]}")] = None
    for name, side in sides.items():
        over = over_how_many(side, column)
        if over:
            notes[f"{label}, {family}: the mean of {name} is over {over}"] = None
    means = {name: overall_mean(side, column) if side else math.nan for name, side in sides.items()}
    shown = ("low", "high", "boot_low", "boot_high", "p", "people", "prompts", "seeds")
    numbers = {name: getattr(difference, name) for name in shown}
    return {"family": family, "judge": label, **means, "difference": difference.mean, **numbers}


def _closing(full: Sequence[Row], selecting: Sequence[str], towers: Sequence[str]) -> list[str]:
    """The lines under every table: what the numbers are, and how much they may be trusted."""
    lines = [f"differences are full - ablation, paired; {INTERVALS}"]
    lines.append("p: two-sided t-test on person means; judges one by one Holm-corrected")
    lines += ["† this judge's backbone is the generator's own text tower: its score flatters"] if towers else []
    lines += ["* settings were selected with this judge"] if selecting else []
    return lines + few_people(sizes(full)["people"])
