"""What a claim's folder shows of its result: tables between floors and ceilings, differences, pictures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from src.files.whole import write_atomic
from src.reports.claims import Result, verdict_table, write_result
from src.reports.figures import intervals
from src.reports.formats import to_csv, to_markdown
from src.reports.grids import side_grid
from src.runs.run import Run
from src.runs.store import save_png
from src.statistics.ablation_table import ablation_table
from src.statistics.finding import Finding
from src.statistics.levels import level
from src.statistics.scale import ANCHORS, CEILING
from src.statistics.table import Table

PEOPLE = 4  # in the picture, first by index


@dataclass(frozen=True)
class Evidence:
    """The runs behind a claim: `sides` and `anchors` by name; `shown`: the sides in the picture, in order.

    selecting, towers: the judges to be marked, as `ablation_table` says.
    """

    sides: Mapping[str, Run]
    anchors: Mapping[str, Run]
    shown: Sequence[str]
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
    for better, worse in dict.fromkeys((finding.better, finding.worse) for finding in result.findings):
        full, other = evidence.sides[better].scores(), evidence.sides[worse].scores()
        table = ablation_table(full, other, anchors, selecting=evidence.selecting, towers=evidence.towers)
        pages.append(f'## {better} ("full") and {worse} ("ablation")\n\n{to_markdown(table)}')
    return "\n".join(pages)


def write_pages(folder: Path, name: str, result: Result, evidence: Evidence | None) -> None:
    """name.json, and with evidence name.md, name.csv, name-judges.md (one by one, by family), name-differences.png and
    name.png (the first people by index)."""
    write_result(folder / f"{name}.json", result)
    if evidence is None:
        return
    verdicts = verdict_table({folder.name: result})
    tables = [to_markdown(table) for table in (verdicts, level_table(evidence))]
    text = "\n".join([f"**{result.verdict}**\n", *tables, *(f"- {line}" for line in _facts(result))]) + "\n"
    write_atomic(folder / f"{name}.md", text.encode())
    write_atomic(folder / f"{name}.csv", to_csv(verdicts).encode())
    write_atomic(folder / f"{name}-judges.md", judge_pages(result, evidence).encode())
    bars = [_bar(finding) for finding in result.findings]
    write_atomic(folder / f"{name}-differences.png", intervals(bars, x="difference in units from floor to ceiling"))
    shown = {side: evidence.sides[side] for side in evidence.shown} | {CEILING: evidence.anchors[CEILING]}
    save_png(folder / f"{name}.png", side_grid(shown, PEOPLE), {"sides": {s: r.folder.name for s, r in shown.items()}})


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
