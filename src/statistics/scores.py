"""The table of one judged folder: every judge's mean with its intervals, between floor and ceiling."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from src.statistics.differences import (
    cluster_bootstrap,
    normalised,
    number,
    overall_mean,
    person_means,
    scale,
    t_interval,
)
from src.statistics.selection import harmonic_mean
from src.statistics.table import Table
from src.statistics.verdicts import ENOUGH

Row = Mapping[str, Any]
Anchors = Mapping[str, Sequence[Row]]
# the floor of a kind, and its ceilings, the best first: the oracle in the embedded world, else the person's own photos
SCALES = {"text": ("copy", ("oracle_vae", "oracle")), "identity": ("other", ("oracle_vae", "oracle", "same"))}
LABELS = {"right": "prompt right among {} (share)", "copy_paste": "copy-paste (0 none, 1 a copy)"}
LABELS |= {"diversity": "diversity over seeds", "image": "image similarity"}


def score_table(
    rows: Sequence[Row], anchors: Anchors, *, marks: Mapping[str, str] | None = None, seed: int = 0
) -> Table:
    """All columns "kind/judge" of scores.csv, by prompt family and over all prompts.

    First stand the primary rows: text and identity normalised between floor (0) and ceiling (1), mean over judges, and
    the harmonic mean of text and identity. Beside an identity judge's mean stand the rates of images without a face
    and with several. anchors: rows of floors and ceilings ("copy", "other", "same", "oracle_vae"), each may be missing;
    marks: column -> what is put behind its name.
    """
    families = list(dict.fromkeys(str(row["family"]) for row in rows))
    notes: dict[str, None] = {}
    table = []
    for family in [*families, *(["all"] if len(families) > 1 else [])]:
        own, fixed = _of(rows, family), {name: _of(side, family) for name, side in anchors.items()}
        table += _primary(own, fixed, family, seed, notes)
        for column in [name for name in own[0] if "/" in name and not name.startswith("faces/")]:
            label = f"{_label(column, own)}{(marks or {}).get(column, '')}"
            table.append(_row(own, fixed, family, column, label, seed))
    return Table(table, [*notes, *closing(rows)])


def _of(rows: Sequence[Row], family: str) -> list[Row]:
    return [row for row in rows if family in ("all", row["family"])]


def _label(column: str, rows: Sequence[Row]) -> str:
    kind, _, judge = column.partition("/")
    words = LABELS.get(kind, "").format(len({row["prompt"] for row in rows}))
    return f"{words}, {judge}" if words else column


def _primary(rows: Sequence[Row], anchors: Anchors, family: str, seed: int, notes: dict[str, None]) -> list[Any]:
    """The normalised rows that this folder can have; a note says why one is left out."""
    found, both = [], {}
    for kind in SCALES:
        judges = [name for name in rows[0] if name.startswith(f"{kind}/")]
        ends = _ends(kind, anchors, judges)
        if not judges:
            continue
        if ends is None:
            floor, ceilings = SCALES[kind]
            notes[
                f"no normalised {kind} score: it needs the floor {floor} and a ceiling above it ({', '.join(ceilings)})"
            ] = None
            continue
        both[kind] = normalised(rows, *ends, judges)
        found.append(_row(both[kind], {}, family, "normalised", f"{kind} (normalised mean)", seed))
    kinds = {kind: [name for name in rows[0] if name.startswith(f"{kind}/")] for kind in SCALES}
    if all(kinds.values()):
        how = "normalised" if len(both) == 2 else "raw cosines"
        sides = both if len(both) == 2 else {k: _averaged(rows, names) for k, names in kinds.items()}
        pairs = zip(sides["text"], sides["identity"], strict=True)
        joint = [{**a, "normalised": _harmonic(a["normalised"], b["normalised"])} for a, b in pairs]
        found.append(_row(joint, {}, family, "normalised", f"harmonic mean of text and identity ({how})", seed))
    return found


def _ends(kind: str, anchors: Anchors, judges: Sequence[str]) -> tuple[Sequence[Row], Sequence[Row]] | None:
    """Rows of the floor and of the best ceiling that lies above it for every judge."""
    floor, ceilings = SCALES[kind]
    for ceiling in ceilings:
        low, high = anchors.get(floor, []), anchors.get(ceiling, [])
        judged = low and high and all(name in low[0] and name in high[0] for name in judges)
        if judged and _above(low, high, judges):
            return low, high
    return None


def _above(floor: Sequence[Row], ceiling: Sequence[Row], judges: Sequence[str]) -> bool:
    return all(overall_mean(ceiling, judge) > overall_mean(floor, judge) for judge in judges)


def _averaged(rows: Sequence[Row], judges: Sequence[str]) -> list[dict[str, Any]]:
    return [{**row, "normalised": float(np.mean([number(row[judge]) for judge in judges]))} for row in rows]


def _harmonic(text: float, identity: float) -> float:
    return math.nan if math.isnan(text + identity) else harmonic_mean(text, identity)


def _row(rows: Sequence[Row], anchors: Anchors, family: str, column: str, label: str, seed: int) -> dict[str, Any]:
    """One line: mean of person means, intervals, floor, ceiling, normalised score, rates of faces, counts."""
    known = [row for row in rows if not math.isnan(number(row[column]))]
    means = list(person_means(known, column).values())
    people, prompts = ([str(row[name]) for row in known] for name in ("person", "prompt"))
    low, high = t_interval(means)
    boot = cluster_bootstrap([number(row[column]) for row in known], people, prompts, seed=seed)
    ends = _ends(column.partition("/")[0], anchors, [column]) if column.partition("/")[0] in SCALES else None
    floor, ceiling = scale(*ends, column) if ends else (math.nan, math.nan)
    mean = overall_mean(known, column)
    numbers = {"mean": mean, "low": low, "high": high, "boot_low": boot[0], "boot_high": boot[1]}
    numbers |= {"floor": floor, "ceiling": ceiling, "normalised": (mean - floor) / (ceiling - floor)}
    numbers |= _face_rates(rows, column)
    counts = {"people": len(set(people)), "prompts": len(set(prompts)), "seeds": len({str(r["seed"]) for r in known})}
    blanks = {name: None if math.isnan(value) else value for name, value in numbers.items()}
    return {"family": family, "judge": label, **blanks, "images": len(known), **counts}


def _face_rates(rows: Sequence[Row], column: str) -> dict[str, float]:
    kind, _, judge = column.partition("/")
    faces = f"faces/{judge}"
    if kind != "identity" or faces not in rows[0]:
        return {"no_face": math.nan, "several": math.nan}
    counts = [number(row[faces]) for row in rows]
    return {"no_face": sum(n == 0 for n in counts) / len(rows), "several": sum(n > 1 for n in counts) / len(rows)}


def closing(rows: Sequence[Row]) -> list[str]:
    """The lines under every table of one folder."""
    people = len({str(row["person"]) for row in rows})
    lines = ["means of person means; 95 %: t-interval on person means, then the cluster bootstrap"]
    lines += ["no interval: it needs at least 2 people"] if people < 2 else []
    return lines + ([f"illustration (n = {people}, fewer than {ENOUGH} people)"] if people < ENOUGH else [])
