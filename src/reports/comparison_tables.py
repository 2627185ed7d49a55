"""The tables of several runs side by side, one of them in the layout of the paper's."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from src.files.rows import Rows, judge_columns
from src.reports.formats import ENDS
from src.runs.sides import Side
from src.statistics.front import common_front
from src.statistics.interval import Interval, common_difference, interval
from src.statistics.means import over_how_many
from src.statistics.scale import FLOORS, PLAIN, harmonic_mean, lacking, normalised, scales
from src.statistics.table import INTERVALS, Table, blanked, sizes
from src.statistics.verdict import few_people

FACES = "face_found"
BOTH_INTERVALS = f"{INTERVALS} over people and prompts"


def score_columns(sides: Sequence[Side]) -> list[str]:
    """The columns of judges ("text/...", "identity/...", then others with a "/") and the rate of faces found."""
    names = dict.fromkeys(name for side in sides for name in side.rows[0])
    known = [name for kind in FLOORS for name in judge_columns([names], kind)]
    others = [name for name in names if "/" in name and name not in known]
    return [*known, *others, *([FACES] if FACES in names else [])]


def with_overall(sides: Sequence[Side]) -> tuple[list[Side], dict[str, str], list[str]]:
    """The runs with a column "text" and a column "identity", the mean over judges; what they are; and notes.

    They are normalised between floor and ceiling (METHOD.md section 6) where both are among the runs, else the mean
    of plain scores. A blank score of any judge makes the row's mean blank. Kinds without a judge have no column.
    """
    labels, notes = {}, []
    anchors = {side.kind: side.rows for side in sides if side.role != "method"}
    for kind in FLOORS:
        judges = [name for name in score_columns(sides) if name.startswith(f"{kind}/")]
        if not judges:
            notes.append(f"no judge of {kind} is common to the runs")
            continue
        lost = [f"{side.name} has no {judge}" for side in sides for judge in judges if judge not in side.rows[0]]
        reason = lacking(anchors, kind, judges) or "; ".join(lost)
        labels[kind] = f"{kind}: mean of {', '.join(judges)}"
        labels[kind] += "" if reason else ", normalised between floor and ceiling"
        notes += [f"{kind}: plain mean of {len(judges)} judges, not normalised: {reason}"] if reason else []
        measures = dict.fromkeys(judges, PLAIN) if reason else scales(anchors, kind, judges)
        sides = [replace(side, rows=_placed(side.rows, measures, kind)) for side in sides]
    return list(sides), labels, notes


def _placed(rows: Rows, measures: Mapping[str, Any], kind: str) -> Rows:
    """The rows with the mean over judges as the column of their kind; blank in a run that lacks one of the judges."""
    seen = all(judge in rows[0] for judge in measures)
    return normalised(rows, measures, kind) if seen else [{**row, kind: math.nan} for row in rows]


def overview(sides: Sequence[Side], labels: Mapping[str, str]) -> Table:
    """Every run in one line: text and identity with intervals, their harmonic mean, faces found, what it cost.

    labels: what the columns "text" and "identity" hold, as `with_overall` says.
    """
    both = set(labels) == set(FLOORS)
    methods = {side.name: side.rows for side in sides if side.role == "method"}
    best, over = common_front(methods, *FLOORS) if both else ([], "")
    rows = []
    for side in sides:
        found = {kind: interval(side.rows, kind) for kind in labels}
        row: dict[str, Any] = {"run": side.name, "role": side.role}
        row |= {kind: own.mean for kind, own in found.items()}
        if both:
            row["harmonic mean"] = harmonic_mean(*(own.mean for own in found.values()))
            row["front"] = ("yes" if side.name in best else "no") if side.role == "method" else None
        if any(FACES in other.rows[0] for other in sides):
            row["face found"] = interval(side.rows, FACES).mean
        row["U-Net evaluations"] = side.summary.get("unet_evaluations")
        for kind, own in found.items():
            row[f"{kind} 95 % (t)"] = (own.low, own.high)
            row[f"{kind} 95 % (boot)"] = (own.boot_low, own.boot_high)
        rows.append(blanked({**row, **sizes(side.rows)}))
    missing = [over] if over else []
    missing += [note for side in sides for kind in labels for note in _partial(side, kind)]
    return Table(rows, [*labels.values(), BOTH_INTERVALS, *missing, *few(sides)])


def _partial(side: Side, column: str) -> list[str]:
    """Says over how many images a mean is, where some have no score."""
    over = over_how_many(side.rows, column)
    return [f"{side.name}: the mean of {column} is over {over}"] if over else []


def paper_layout(sides: Sequence[Side], kind: str, judges: Sequence[str], published: Mapping[str, Any]) -> Table:
    """A line for each method and a column for each judge, as in the paper's table of this kind ("text", "identity").

    published: name -> {judge: score} of rows that others printed; a row is shown if a judge of the same name is
    here, and stays blank for the others.
    """
    heads = {judge: judge.partition("/")[2] for judge in judges}
    rows: list[dict[str, Any]] = []
    for side in sides:
        means = {head: interval(side.rows, judge).mean for judge, head in heads.items()}
        rows.append(blanked({"method": side.name, **means, **sizes(side.rows)}))
    for name, scores in published.items():
        own = {_plain(judge): value for judge, value in scores.items()}
        printed = {head: own.get(_plain(judge)) for judge, head in heads.items()}
        if any(value is not None for value in printed.values()):
            rows.append({"method": name, **printed, "people": None, "prompts": None, "seeds": None})
    missing = [note for side in sides for judge in judges for note in _partial(side, judge)]
    return Table(rows, [f"{kind} similarity, mean of person means", *missing, *few(sides)])


def _plain(judge: str) -> str:
    """text/ViT-B/32 and text/vit_b_32 are one name."""
    return re.sub(r"[^a-z0-9]", "", judge.lower())


def differences(sides: Sequence[Side], reference: Side, columns: Sequence[str]) -> Table:
    """Every other method minus the reference, paired by person, prompt and seed, judge by judge."""
    rows, notes = [], {f"differences are run - {reference.name}, paired over the images that both have": None}
    notes[BOTH_INTERVALS] = None
    for side in sides:
        if side.role != "method" or side.name == reference.name:
            continue
        for column in columns:
            found = common_difference(side.rows, reference.rows, column)
            if found is None:
                notes[f"{side.name} and {reference.name} have no {column} in common"] = None
                continue
            if found.left_out:
                total = found.pairs + found.left_out
                notes[f"{side.name}, {column}: {found.left_out} of {total} pairs have no score, left out"] = None
            numbers = {name: getattr(found, name) for name in (*ENDS, "people", "prompts", "seeds", "pairs")}
            rows.append(blanked({"run": side.name, "judge": column, "difference": found.mean, **numbers}))
    return Table(rows, [*notes, *few(sides)])


def estimates_table(estimates: Mapping[str, Mapping[str, Interval]]) -> Table:
    """All estimates in long form, for a program: run -> column -> estimate."""
    return Table(
        [
            blanked({"run": run, "column": column, **{n: getattr(found, n) for n in ("mean", *ENDS, "people")}})
            for run, columns in estimates.items()
            for column, found in columns.items()
        ]
    )


def few(sides: Sequence[Side]) -> list[str]:
    """What so few people are worth, by the method that has the fewest."""
    return few_people(min(sizes(side.rows)["people"] for side in sides if side.role == "method"))
