"""A table for a paper: LaTeX with booktabs, the best of each column in bold."""

import re
from collections.abc import Sequence
from typing import Any

from src.reports.formats import plain_rows
from src.statistics.table import Table

SPECIAL = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
SPECIAL |= {sign: f"\\{sign}" for sign in "&%$#_{}"}


def escaped(text: str) -> str:
    """Text with every sign that LaTeX would read as a command made harmless; minus signs before digits are set."""
    return re.sub(r"(?<!\w)-(?=\d)", "$-$", "".join(SPECIAL.get(sign, sign) for sign in text))


def to_latex(table: Table, *, caption: str, contest: Sequence[str] = (), apart: Sequence[str] = ()) -> str:
    r"""A table environment (needs \usepackage{booktabs}): words flush left, numbers to three decimals, notes below.

    contest: names of the first column among which the highest number of each column is bold. apart: names of the
    first column that stand below a rule. Columns of one whole number throughout (people, seeds) go into the caption.
    """
    plain = plain_rows(table)
    same = {name: next(iter(values)) for name, values in _whole_numbers(table).items() if len(values) == 1}
    shown = [i for i, column in enumerate(plain["head"]) if column["name"] not in same or i == 0]
    best = {i: _best(plain["rows"], i, contest) for i in shown}
    heads = [plain["head"][i] for i in shown]
    layout = "".join("l" if head["words"] else "r" for head in heads)
    lines = [r"\begin{table}", r"\centering", rf"\begin{{tabular}}{{{layout}}}", r"\toprule"]
    lines += [" & ".join(escaped(head["name"]) for head in heads) + r" \\", r"\midrule"]
    below = False
    for row in plain["rows"]:
        name = row[0][0]
        lines += [r"\midrule"] if name in apart and not below and row is not plain["rows"][0] else []
        below = below or name in apart
        cells = [_cell(row[i], bold=name in contest and row[i][1] is not None and row[i][1] == best[i]) for i in shown]
        lines.append(" & ".join(cells) + r" \\")
    counts = ", ".join(f"{number} {name}" for name, number in same.items())
    about = ". ".join([caption, *([counts] if counts else []), *table.notes])
    lines += [r"\bottomrule", r"\end{tabular}", rf"\caption{{{escaped(about)}.}}", r"\end{table}"]
    return "\n".join(lines) + "\n"


def _whole_numbers(table: Table) -> dict[str, set[int]]:
    """The values of the columns that hold nothing but whole numbers and blanks."""
    values = {name: {row[name] for row in table.rows} - {None} for name in table.rows[0]}
    return {name: each for name, each in values.items() if {type(value) for value in each} == {int}}


def _best(rows: Sequence[Sequence[Any]], column: int, contest: Sequence[str]) -> float | None:
    values = [row[column][1] for row in rows if row[0][0] in contest and isinstance(row[column][1], float)]
    return max(values) if len(values) > 1 else None


def _cell(cell: Sequence[Any], bold: bool) -> str:
    return rf"\textbf{{{escaped(cell[0])}}}" if bold else escaped(cell[0])
