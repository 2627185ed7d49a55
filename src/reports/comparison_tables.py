"""The tables of a comparison of several runs, one of them in the layout of the paper's."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from src.files.rows import CELL
from src.reports.comparison import FACES, KINDS, Estimate, common_front, difference, estimate
from src.runs.sides import Side
from src.statistics.differences import over_how_many
from src.statistics.selection import harmonic_mean
from src.statistics.table import Table
from src.statistics.tables import Row
from src.statistics.verdicts import ENOUGH

INTERVALS = "95 %: t-interval on person means, then the cluster bootstrap over people and prompts"


def overview(sides: Sequence[Side], labels: Mapping[str, str]) -> Table:
    """Every run in one line: text and identity with intervals, their harmonic mean, faces found, what it cost.

    labels: what the columns "text" and "identity" hold, as `with_overall` says.
    """
    both = set(labels) == set(KINDS)
    best, over = common_front(sides, *KINDS) if both else ([], "")
    rows = []
    for side in sides:
        found = {kind: estimate(side.rows, kind) for kind in labels}
        row: dict[str, Any] = {"run": side.name, "role": side.role}
        row |= {kind: _blank(own.mean) for kind, own in found.items()}
        if both:
            means = [found[kind].mean for kind in KINDS]
            row["harmonic mean"] = None if any(map(math.isnan, means)) else harmonic_mean(*means)
            row["front"] = ("yes" if side.name in best else "no") if side.role == "method" else None
        if any(FACES in other.rows[0] for other in sides):
            row["face found"] = _blank(estimate(side.rows, FACES).mean)
        row["U-Net evaluations"] = side.summary.get("unet_evaluations")
        for kind, own in found.items():
            row[f"{kind} 95 % (t)"] = _ends(own.low, own.high)
            row[f"{kind} 95 % (boot)"] = _ends(own.boot_low, own.boot_high)
        rows.append({**row, **sizes(side.rows)})
    missing = [over] if over else []
    missing += [note for side in sides for kind in labels for note in _partial(side, kind)]
    return Table(rows, [*labels.values(), INTERVALS, *missing, *few(sides)])


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
        means = {head: _blank(estimate(side.rows, judge).mean) for judge, head in heads.items()}
        rows.append({"method": side.name, **means, **sizes(side.rows)})
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
    notes[INTERVALS] = None
    for side in sides:
        if side.role != "method" or side.name == reference.name:
            continue
        for column in columns:
            found = difference(side, reference, column)
            if found is None:
                notes[f"{side.name} and {reference.name} have no {column} in common"] = None
                continue
            if found.left_out:
                total = found.pairs + found.left_out
                notes[f"{side.name}, {column}: {found.left_out} of {total} pairs have no score, left out"] = None
            values = {name: _blank(getattr(found, name)) for name in ("low", "high", "boot_low", "boot_high")}
            counts = {name: getattr(found, name) for name in ("people", "prompts", "seeds", "pairs")}
            rows.append({"run": side.name, "judge": column, "difference": _blank(found.mean), **values, **counts})
    return Table(rows, [*notes, *few(sides)])


def estimates_table(estimates: Mapping[str, Mapping[str, Estimate]]) -> Table:
    """All estimates in long form, for a program: run -> column -> estimate."""
    names = ("mean", "low", "high", "boot_low", "boot_high", "people")
    return Table(
        [
            {"run": run, "column": column, **{name: _blank(getattr(found, name)) for name in names}}
            for run, columns in estimates.items()
            for column, found in columns.items()
        ]
    )


def sizes(rows: Sequence[Row]) -> dict[str, int]:
    """The numbers of people, prompts and seeds."""
    counts = (len({str(row[name]) for row in rows}) for name in CELL)
    return dict(zip(("people", "prompts", "seeds"), counts, strict=True))


def few(sides: Sequence[Side]) -> list[str]:
    """The warning under a table of few people."""
    people = min(sizes(side.rows)["people"] for side in sides if side.role == "method")
    return [f"illustration (n = {people}, fewer than {ENOUGH} people)"] if people < ENOUGH else []


def _ends(low: float, high: float) -> str | None:
    return None if math.isnan(low) else f"{low:.3f} {high:.3f}"


def _blank(value: float) -> float | None:
    return None if math.isnan(value) else value
