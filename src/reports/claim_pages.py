"""What a claim's folder shows of its result: tables between floors and ceilings, differences, pictures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from src.files.whole import write_atomic
from src.reports import figures
from src.reports.claims import Result, verdict_table, write_result
from src.reports.formats import to_csv, to_markdown
from src.reports.grids import side_grid
from src.runs.run import Run
from src.runs.store import save_webp
from src.statistics.ablation_table import ablation_table
from src.statistics.finding import PATH, Finding, on_both_scales
from src.statistics.levels import level
from src.statistics.path import area_between, common_stretch, mean_curve, person_curves
from src.statistics.scale import ANCHORS, CEILING
from src.statistics.table import Table

PEOPLE = 2  # in the picture, first by index


@dataclass(frozen=True)
class Evidence:
    """The runs behind a claim: `sides` and `anchors` by name; `shown`: the sides in the picture, in order.

    paths: name -> its sides from the lightest strength of learning on; {} of a claim without.
    selecting, towers: the judges to be marked, as `ablation_table` says.
    """

    sides: Mapping[str, Run]
    anchors: Mapping[str, Run]
    shown: Sequence[str]
    paths: Mapping[str, Sequence[str]] = field(default_factory=dict)
    selecting: Sequence[str] = ()
    towers: Sequence[str] = ()


def level_table(evidence: Evidence) -> Table:
    """Text and identity of every side, floor and ceiling in units from floor to ceiling, with 95 % over people."""
    anchors = {name: run.scores() for name, run in evidence.anchors.items()}
    rows = [_level(name, run, anchors) for name, run in {**evidence.sides, **evidence.anchors}.items()]
    floors = f"floors and ceilings are the last {len(anchors)} rows: {', '.join(n for n in ANCHORS if n in anchors)}"
    return Table(rows, ["mean over judges of the normalised score; 95 %: t-interval over people", floors])


def judge_pages(result: Result, evidence: Evidence) -> str:
    """Markdown: for each pair of sides that the tests compare, every judge by family and over all prompts."""
    anchors = {name: run.scores() for name, run in evidence.anchors.items()}
    pages = []
    points = [(f.better, f.worse) for f in result.findings if f.kind != PATH]
    for better, worse in dict.fromkeys(points):
        full, other = evidence.sides[better].scores(), evidence.sides[worse].scores()
        table = ablation_table(full, other, anchors, selecting=evidence.selecting, towers=evidence.towers)
        pages.append(f'## {better} ("full") and {worse} ("ablation")\n\n{to_markdown(table)}')
    return "\n".join(pages)


def path_table(result: Result, evidence: Evidence) -> Table:
    """The area that the mean curves of each pair of paths enclose, with its 95 % over people, and where they meet."""
    anchors = {name: run.scores() for name, run in evidence.anchors.items()}
    paths = {
        name: on_both_scales([evidence.sides[side].scores() for side in sides], anchors)
        for name, sides in evidence.paths.items()
    }
    rows = []
    for f in (f for f in result.findings if f.kind == PATH):
        area, low, high = area_between(paths[f.better], paths[f.worse])
        stretch = common_stretch(*(mean_curve(person_curves(paths[name]).values()) for name in (f.better, f.worse)))
        between = "no common identity" if stretch is None else f"{stretch[0]:.3f} {stretch[1]:.3f}"
        row = {"paths": f"{f.better} - {f.worse}", "text at equal identity": f.difference.mean, "area": area}
        rows.append({**row, "95 %": f"{low:+.3f} {high:+.3f}", "identity from, to": between})
    return Table(rows, ["area between the mean curves, in text times identity; 95 %: people drawn anew"])


def path_points(evidence: Evidence) -> list[dict[str, Any]]:
    """A row for each strength of each path: its name, its strength, and text and identity with their ends."""
    anchors = {name: run.scores() for name, run in evidence.anchors.items()}
    return [
        {"path": path, "strength": side.removeprefix(f"{path}, "), **level(evidence.sides[side].scores(), anchors)}
        for path, sides in evidence.paths.items()
        for side in sides
    ]


def write_pages(folder: Path, name: str, result: Result, evidence: Evidence | None) -> None:
    """name.json, and with evidence name.md, name.csv, name-judges.md (one by one, by family), name-differences.png and
    name.webp (the first people by index); name-paths.png of a claim along the path of learning."""
    write_result(folder / f"{name}.json", result)
    if evidence is None:
        return
    verdicts = verdict_table({folder.name: result})
    tables = [to_markdown(table) for table in (verdicts, level_table(evidence))]
    along = path_table(result, evidence)
    tables += [to_markdown(along)] if along.rows else []
    text = "\n".join([f"**{result.verdict}**\n", *tables, *(f"- {line}" for line in _facts(result))]) + "\n"
    write_atomic(folder / f"{name}.md", text.encode())
    write_atomic(folder / f"{name}.csv", to_csv(verdicts).encode())
    write_atomic(folder / f"{name}-judges.md", judge_pages(result, evidence).encode())
    bars = [_bar(finding) for finding in result.findings]
    write_atomic(
        folder / f"{name}-differences.png", figures.intervals(bars, x="difference in units from floor to ceiling")
    )
    if evidence.paths:
        write_atomic(folder / f"{name}-paths.png", figures.paths(path_points(evidence)))
    shown = {side: evidence.sides[side] for side in evidence.shown} | {CEILING: evidence.anchors[CEILING]}
    save_webp(folder / f"{name}.webp", side_grid(shown, PEOPLE))


def _level(name: str, run: Run, anchors: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, Any]:
    rows = run.scores()
    levels, faces = level(rows, anchors), sum(float(row["face_found"]) for row in rows) / len(rows)
    row: dict[str, Any] = {"side": name}
    for kind in ("text", "identity"):
        row |= {kind: levels[kind], f"{kind} 95 %": f"{levels[f'{kind}_low']:+.3f} {levels[f'{kind}_high']:+.3f}"}
    return {**row, "face found": faces, "U-Net evaluations": run.summary().get("unet_evaluations")}


def _bar(finding: Finding) -> dict[str, Any]:
    difference, label = finding.difference, f"{finding.kind}: {finding.better} - {finding.worse}"
    ends = {name: getattr(difference, name) for name in ("mean", "low", "high")}
    return {"label": label, **ends, "bound": -finding.margin}


def _facts(result: Result) -> list[str]:
    parts = {name: getattr(result, name) for name in ("commit", "finished", "machine")}
    parts["wall time"] = f"{result.seconds} s for all its runs, some of which are other claims' too"
    parts |= {"code": result.code[:12], "weights": result.weights[:12]}
    return [*(f"{name}: {value}" for name, value in parts.items()), *(f"setting: {each}" for each in result.settings)]
