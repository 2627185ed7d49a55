"""Several runs in one page and in tables for a paper: `python -m src.compare RUN RUN ...` (folders or W&B paths)."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from src.files.rows import judge_columns
from src.harness.build import plain
from src.harness.command import command
from src.harness.deciding import PAGE, code_of
from src.reports import comparison_tables
from src.reports.comparison_tables import score_columns, with_overall
from src.reports.formats import markdown_text, to_csv, to_markdown, to_text
from src.reports.latex import to_latex
from src.reports.page import assets, comparison_page
from src.runs.compared import Side, gaps, read_sides
from src.runs.digests import digest
from src.runs.remote import local_folder
from src.runs.run import open_run
from src.runs.store import write_atomic
from src.statistics.interval import Interval, interval
from src.statistics.scale import FLOORS
from src.statistics.table import Table

DIFFERENCES = "Differences to"


@command("compare")
def main(cfg: DictConfig) -> None:
    if not cfg.compared:
        raise ValueError("no runs are given: write python -m src.compare RUN RUN, such as runs/full/0123456789ab")
    settings = {name: plain(cfg)[name] for name in ("names", "reference", "pixels", "published")}
    folders = [local_folder(word, Path(cfg.runs) / "wandb") for word in cfg.compared]
    sides = read_sides(folders, settings["names"])
    reference = _reference(sides, cfg.reference)
    own = [[side.name, side.kind, side.folder.name, dict(side.about), side.contents()] for side in sides]
    key = digest({"sides": own, **settings}, weights=assets(), code=code_of(PAGE))
    config = {"compared": {side.name: str(side.folder) for side in sides}, **settings}
    with open_run(cfg.runs, "compare", config, key) as run:
        if not run.complete:
            for name, content in outputs(sides, reference, settings).items():
                write_atomic(run.path(name), content.encode())
            run.finish({"runs": [side.name for side in sides], "reference": reference.name})
    print(run.made("overview.txt").read_text(encoding="utf-8"))
    for name, what in (("compare.html", "page"), ("tables.md", "markdown"), ("tables.tex", "LaTeX")):
        print(f"{what + ':':<10}{run.made(name)}", flush=True)


def _reference(sides: Sequence[Side], name: str | None) -> Side:
    """The run that differences are taken against: the named one, or the first."""
    methods = {side.name: side for side in sides if side.role == "method"}
    if name is not None and name not in methods:
        raise ValueError(f"reference ({name}) is none of the compared runs: {', '.join(methods)}")
    return methods[name] if name is not None else next(iter(methods.values()))


def outputs(sides: Sequence[Side], reference: Side, settings: Mapping[str, Any]) -> dict[str, str]:
    """The content of each file of the comparison."""
    scored, labels, notes = with_overall(sides)
    reference = next(side for side in scored if side.name == reference.name)
    columns = [*labels, *score_columns(scored)]
    estimates: dict[str, dict[str, Interval]] = {s.name: {c: interval(s.rows, c) for c in columns} for s in scored}
    found = tables_of(scored, reference, columns, labels, settings["published"] or {})
    notes = [*notes, *gaps(sides)]
    page = comparison_page(scored, estimates, found, labels=labels, notes=notes, pixels=settings["pixels"])
    return {
        "compare.html": page,
        "tables.md": "\n".join(f"## {markdown_text(title)}\n\n{to_markdown(table)}" for title, table in found.items()),
        "tables.tex": "\n".join(_latex(title, table, sides) for title, table in found.items()),
        "estimates.csv": to_csv(comparison_tables.estimates_table(estimates)),
        "overview.txt": to_text(Table(_short(next(iter(found.values()))), notes)),
    }


def tables_of(
    sides: Sequence[Side], reference: Side, columns: Sequence[str], labels: Mapping[str, str], published: Mapping
) -> dict[str, Table]:
    """Heading -> table; the first is the overview, then come the paper's, then the differences."""
    found = {"Overview": comparison_tables.overview(sides, labels)}
    for kind in FLOORS:
        judges = judge_columns([dict.fromkeys(columns)], kind)
        if judges:
            found[f"{kind.capitalize()} similarity"] = comparison_tables.paper_layout(sides, kind, judges, published)
    differences = comparison_tables.differences(sides, reference, columns)
    return found | ({f"{DIFFERENCES} {reference.name}": differences} if differences.rows else {})


def _latex(title: str, table: Table, sides: Sequence[Side]) -> str:
    """The best method in bold where methods stand against each other; floors and ceilings below a rule."""
    methods = [] if title.startswith(DIFFERENCES) else [side.name for side in sides if side.role == "method"]
    anchors = [side.name for side in sides if side.role != "method"]
    return to_latex(table, caption=title, contest=methods, apart=anchors)


def _short(table: Table) -> list[dict[str, Any]]:
    """The overview without its intervals, for the terminal."""
    return [{name: value for name, value in row.items() if "%" not in name} for row in table.rows]


if __name__ == "__main__":
    main()
