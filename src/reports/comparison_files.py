"""The files of a comparison: one page, tables for a paper and for a program, and what the terminal shows."""

from collections.abc import Mapping, Sequence
from typing import Any

from src.files.rows import judge_columns
from src.reports import comparison_tables
from src.reports.comparison_page import comparison_page
from src.reports.comparison_tables import score_columns, with_overall
from src.reports.formats import sections, to_csv, to_text
from src.reports.latex import to_latex
from src.runs.sides import Side, gaps
from src.statistics.interval import Interval, interval
from src.statistics.scale import FLOORS
from src.statistics.table import Table

DIFFERENCES = "Differences to"


def comparison_files(
    sides: Sequence[Side], reference: Side, *, published: Mapping[str, Any], pixels: int
) -> dict[str, str]:
    """Name -> content. reference: the side that differences are taken against; the rest as `paper_layout` and
    `comparison_page` say."""
    scored, labels, notes = with_overall(sides)
    columns = [*labels, *score_columns(scored)]
    estimates: dict[str, dict[str, Interval]] = {s.name: {c: interval(s.rows, c) for c in columns} for s in scored}
    overview = comparison_tables.overview(scored, labels)
    tables = {"Overview": overview, **_paper_tables(scored, columns, published)}
    base = next(side for side in scored if side.name == reference.name)
    differences = comparison_tables.differences(scored, base, columns)
    tables |= {f"{DIFFERENCES} {reference.name}": differences} if differences.rows else {}
    notes = [*notes, *gaps(sides)]
    return {
        "compare.html": comparison_page(scored, estimates, tables, labels=labels, notes=notes, pixels=pixels),
        "tables.md": sections(tables),
        "tables.tex": "\n".join(_latex(title, table, sides) for title, table in tables.items()),
        "estimates.csv": to_csv(comparison_tables.estimates_table(estimates)),
        "overview.txt": to_text(Table(_without_intervals(overview), notes)),
    }


def _paper_tables(sides: Sequence[Side], columns: Sequence[str], published: Mapping[str, Any]) -> dict[str, Table]:
    """Heading -> table in the paper's layout, of each kind that has a judge."""
    judges = {kind: judge_columns([dict.fromkeys(columns)], kind) for kind in FLOORS}
    return {
        f"{kind.capitalize()} similarity": comparison_tables.paper_layout(sides, kind, names, published)
        for kind, names in judges.items()
        if names
    }


def _latex(title: str, table: Table, sides: Sequence[Side]) -> str:
    """The best method in bold where methods stand against each other; floors and ceilings below a rule."""
    methods = [] if title.startswith(DIFFERENCES) else [side.name for side in sides if side.role == "method"]
    anchors = [side.name for side in sides if side.role != "method"]
    return to_latex(table, caption=title, contest=methods, apart=anchors)


def _without_intervals(table: Table) -> list[dict[str, Any]]:
    return [{name: value for name, value in row.items() if "%" not in name} for row in table.rows]
