"""The table of one judged folder: every judge's mean with its intervals, between floor and ceiling."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from src.files.rows import Row, judge_columns
from src.statistics.interval import interval
from src.statistics.means import number
from src.statistics.scale import CEILINGS, FLOORS, PLAIN, Anchors, Scale, harmonic_mean, lacking, normalised, scales
from src.statistics.table import INTERVALS, Table, blanked, in_family, sizes
from src.statistics.verdict import few_people

LABELS = {"right": "prompt right among {} (share)", "copy_paste": "copy-paste (0 none, 1 a copy)"}
LABELS |= {"diversity": "diversity over seeds", "image": "image similarity"}
UNKNOWN = Scale(math.nan, math.nan)


def score_table(rows: Sequence[Row], anchors: Anchors, *, marks: Mapping[str, str] | None = None) -> Table:
    """All columns "kind/judge" of scores.csv, by prompt family and over all prompts.

    First stand the primary rows: text and identity normalised between floor (0) and ceiling (1), mean over judges, and
    the harmonic mean of text and identity. Beside an identity judge's mean stand the rates of images without a face
    and with several. anchors: rows of floors and ceilings (those of FLOORS and CEILINGS), each may be missing;
    marks: column -> what is put behind its name.
    """
    families = list(dict.fromkeys(str(row["family"]) for row in rows))
    notes: dict[str, None] = {}
    table = []
    for family in [*families, *(["all"] if len(families) > 1 else [])]:
        own, fixed = in_family(rows, family), {name: in_family(side, family) for name, side in anchors.items()}
        lines = _primary(own, fixed, notes)
        for column in [name for name in own[0] if "/" in name and not name.startswith("faces/")]:
            kind = column.partition("/")[0]
            measures = _scales(fixed, kind, [column]) or {}
            label = f"{_label(column, own)}{(marks or {}).get(column, '')}"
            lines.append(_row(own, column, label, measures.get(column, UNKNOWN)))
        table += [{"family": family, **line} for line in lines]
    closing = [f"means of person means; {INTERVALS}", *few_people(sizes(rows)["people"])]
    return Table(table, [*notes, *closing])


def _label(column: str, rows: Sequence[Row]) -> str:
    kind, _, judge = column.partition("/")
    words = LABELS.get(kind, "").format(len({row["prompt"] for row in rows}))
    return f"{words}, {judge}" if words else column


def _primary(rows: Sequence[Row], anchors: Anchors, notes: dict[str, None]) -> list[dict[str, Any]]:
    """The normalised rows that this folder can have; a note says why one is left out."""
    judges = {kind: judge_columns(rows, kind) for kind in FLOORS}
    measures = {kind: _scales(anchors, kind, own) for kind, own in judges.items()}
    placed = {kind: normalised(rows, own) for kind, own in measures.items() if own}
    for kind, floor in FLOORS.items():
        if judges[kind] and kind not in placed:
            ceilings = ", ".join(CEILINGS[kind])
            notes[f"no normalised {kind} score: it needs the floor {floor} and a ceiling above it ({ceilings})"] = None
    lines = [_row(side, "normalised", f"{kind} (normalised mean)") for kind, side in placed.items()]
    if not all(judges.values()):
        return lines
    how = "normalised" if len(placed) == len(judges) else "raw cosines"
    if how == "raw cosines":
        placed = {kind: normalised(rows, dict.fromkeys(own, PLAIN)) for kind, own in judges.items()}
    pairs = zip(*placed.values(), strict=True)
    joint = [{**pair[0], "normalised": harmonic_mean(*(row["normalised"] for row in pair))} for pair in pairs]
    return [*lines, _row(joint, "normalised", f"harmonic mean of text and identity ({how})")]


def _scales(anchors: Anchors, kind: str, judges: Sequence[str]) -> dict[str, Scale] | None:
    """Between the floor and the best ceiling that lies above it for every judge; None if there is none."""
    fitting = (c for c in CEILINGS.get(kind, ()) if not lacking(anchors, kind, judges, c))
    ceiling = next(fitting, None)
    return None if ceiling is None else scales(anchors, kind, judges, ceiling)


def _row(rows: Sequence[Row], column: str, label: str, scale: Scale = UNKNOWN) -> dict[str, Any]:
    """One line: mean of person means, intervals, floor, ceiling, normalised score, rates of faces, counts."""
    own = interval(rows, column)
    ends = {name: getattr(own, name) for name in ("mean", "low", "high", "boot_low", "boot_high")}
    place = {"floor": scale.floor, "ceiling": scale.ceiling, "normalised": scale.of(own.mean)}
    counts = {"images": own.pairs, "people": own.people, "prompts": own.prompts, "seeds": own.seeds}
    return blanked({"judge": label, **ends, **place, **_face_rates(rows, column), **counts})


def _face_rates(rows: Sequence[Row], column: str) -> dict[str, float]:
    kind, _, judge = column.partition("/")
    faces = f"faces/{judge}"
    if kind != "identity" or faces not in rows[0]:
        return {"no_face": math.nan, "several": math.nan}
    counts = [number(row[faces]) for row in rows]
    return {"no_face": sum(n == 0 for n in counts) / len(rows), "several": sum(n > 1 for n in counts) / len(rows)}
