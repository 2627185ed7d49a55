"""The table of one comparison, full method against ablation, between floors and ceilings."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from src.statistics.differences import PAIR, normalised, over_how_many, overall_mean, paired_difference, scale
from src.statistics.table import FAMILIES, Table
from src.statistics.verdicts import ENOUGH, MARGIN, holm, sentence

Row = Mapping[str, Any]
ANCHORS = ("copy", "other", "generic", "oracle", "oracle_vae")  # floors, then ceilings
FLOORS = {"text": "copy", "identity": "other"}
CEILING = "oracle_vae"


def judges_of(rows: Sequence[Row]) -> list[str]:
    """The columns of judges, "text/..." first, then "identity/...", each in the order of the first row."""
    return [name for kind in FLOORS for name in (rows[0] if rows else ()) if name.startswith(f"{kind}/")]


def comparison_table(
    full: Sequence[Row],
    other: Sequence[Row],
    anchors: Mapping[str, Sequence[Row]],
    judges: Sequence[str],
    families: Sequence[str] = ("after", "before"),
    *,
    selecting: Sequence[str] = (),
    towers: Sequence[str] = (),
    pair: Sequence[str] = PAIR,
    seed: int = 0,
    margin: float = MARGIN,
) -> Table:
    """Full method against `other` (the ablation), by prompt family and over all prompts.

    full, other, and each of the anchors (keys of ANCHORS, each may be missing): rows of scores.csv. judges: columns
    "text/..." and "identity/...". selecting: the judges that settings were selected with, marked *; towers: those whose
    backbone is the generator's own text tower, marked †.
    First in each family stand the primary rows: the mean over judges of the score normalised between floor and
    ceiling; their verdicts against the margin are in the notes. "p" is the two-sided t-test on person means, of judges
    one by one Holm-corrected within family and kind. ValueError if full and other do not pair up.
    """
    notes: dict[str, None] = {}  # an ordered set
    rows = []
    for family in [*families, *(["all"] if len(families) > 1 else [])]:
        sides = {"full": full, "ablation": other, **{name: anchors.get(name, []) for name in ANCHORS}}
        sides = {name: [row for row in side if family in ("all", row["family"])] for name, side in sides.items()}
        if not sides["full"] and not sides["ablation"]:
            notes[f"no prompt of the family {FAMILIES.get(family, family)!r} was in this run"] = None
            continue
        _check_cover(sides, notes)
        for kind in FLOORS:
            primary = _primary(sides, kind, [judge for judge in judges if judge.startswith(f"{kind}/")], notes)
            label = f"{kind} (normalised mean)"
            rows += [_row(primary, family, label, "normalised", pair, seed, notes, margin)] if primary else []
        single = [_row(sides, family, judge, judge, pair, seed, notes) for judge in judges]
        rows += _corrected(single, {judge: f"{judge}{_marks(judge, selecting, towers)}" for judge in judges})
        if any("face_found" in row for row in full):
            rows.append(_row(sides, family, "face found (share of images)", "face_found", pair, seed, notes))
    if not rows:
        notes["no judge scored these images: look at the grid, or name judges (conf/judges)"] = None
    return Table(rows, [*notes, *_closing(full, selecting, towers)])


def _corrected(rows: Sequence[dict[str, Any]], labels: Mapping[str, str]) -> list[dict[str, Any]]:
    """Rows of judges one by one, with their marks and their p Holm-corrected among the judges of their kind."""
    p: dict[str, float] = {}
    for kind in FLOORS:
        own = {row["judge"]: row["p"] for row in rows if row["judge"].startswith(f"{kind}/")}
        p |= holm({judge: math.nan if value is None else value for judge, value in own.items()})
    return [{**row, "judge": labels[row["judge"]], "p": _blank(p[row["judge"]])} for row in rows]


def _marks(judge: str, selecting: Sequence[str], towers: Sequence[str]) -> str:
    return (" *" if judge in selecting else "") + (" †" if judge in towers else "")


def _check_cover(sides: Mapping[str, Sequence[Row]], notes: dict[str, None]) -> None:
    """Note anchors that miss some of the people and prompts they are to be the measure of."""
    wanted = {(str(row["person"]), str(row["prompt"])) for row in sides["full"]}
    for name in ANCHORS:
        missing = wanted - {(str(row["person"]), str(row["prompt"])) for row in sides[name]}
        if sides[name] and missing:
            notes[f"{name}: {len(missing)} of {len(wanted)} pairs of person and prompt are missing in it"] = None


def _primary(
    sides: Mapping[str, Sequence[Row]], kind: str, judges: Sequence[str], notes: dict[str, None]
) -> dict[str, list[dict[str, Any]]] | None:
    """All sides with the column "normalised", or None and a note that says why not."""
    floor, ceiling = FLOORS[kind], CEILING
    absent = [name for name in (floor, ceiling) if not sides[name]]
    if absent or not judges:
        lacking = " and ".join(absent) or f"a judge of {kind}"
        notes[f"no normalised {kind} score: it needs {lacking}, which this comparison does not have"] = None
        return None
    try:
        for judge in judges:
            scale(sides[floor], sides[ceiling], judge)
    except ValueError as error:
        notes[f"no normalised {kind} score: {error}"] = None
        return None
    return {name: normalised(side, sides[floor], sides[ceiling], judges) for name, side in sides.items()}


def _row(
    sides: Mapping[str, Sequence[Row]],
    family: str,
    label: str,
    column: str,
    pair: Sequence[str],
    seed: int,
    notes: dict[str, None],
    margin: float | None = None,
) -> dict[str, Any]:
    """One row of the table: means of all sides, the paired difference and its intervals; a verdict if a margin."""
    difference = paired_difference(sides["full"], sides["ablation"], column, pair=pair, seed=seed)
    if difference.left_out:
        total = difference.pairs + difference.left_out
        notes[f"{label}, {family}: {difference.left_out} of {total} pairs have no score and are left out"] = None
    if margin is not None:
        notes[sentence(difference, f"{label}, {FAMILIES.get(family, family)}", margin)] = None
    for name, side in sides.items():
        over = over_how_many(side, column)
        if over:
            notes[f"{label}, {family}: the mean of {name} is over {over}"] = None
    means = {name: _blank(overall_mean(side, column) if side else math.nan) for name, side in sides.items()}
    return {
        "family": family,
        "judge": label,
        **means,
        "difference": _blank(difference.mean),
        "low": _blank(difference.low),
        "high": _blank(difference.high),
        "boot_low": _blank(difference.boot_low),
        "boot_high": _blank(difference.boot_high),
        "p": _blank(difference.p),
        "people": difference.people,
        "prompts": difference.prompts,
        "seeds": difference.seeds,
    }


def _blank(value: float) -> float | None:
    return None if math.isnan(value) else value


def _closing(full: Sequence[Row], selecting: Sequence[str], towers: Sequence[str]) -> list[str]:
    """The lines under every table: what the numbers are, and how much they may be trusted."""
    people = len({str(row["person"]) for row in full})
    lines = ["differences are full - ablation, paired; 95 %: t-interval on person means, then the cluster bootstrap"]
    lines.append("p: two-sided t-test on person means; judges one by one Holm-corrected")
    if towers:
        lines.append("† this judge's backbone is the generator's own text tower: its score flatters")
    if selecting:
        lines.append("* settings were selected with this judge")
    if people < 2:
        lines.append("no interval: it needs at least 2 people")
    if people < ENOUGH:
        lines.append(f"illustration (n = {people}, fewer than {ENOUGH} people)")
    return lines
