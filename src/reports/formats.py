"""A table and its three forms: markdown for a page, CSV for a program, aligned text for a terminal."""

import html
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from src.files import cells
from src.files.whole import write_atomic
from src.statistics.table import FAMILIES, Table

WIDTH = 140  # characters of a line in the terminal
INTERVALS = {"low": ("high", "95 % (t)"), "boot_low": ("boot_high", "95 % (boot)")}
ENDS = [end for low, (high, _) in INTERVALS.items() for end in (low, high)]
SHORT = {"oracle_vae": "orac.VAE", "difference": "diff."}


def to_csv(table: Table) -> str:
    """Comma-separated values at full precision, without the notes; blank for None."""
    return cells.to_text(table.rows, table.rows[0] if table.rows else [])


def to_markdown(table: Table) -> str:
    """A markdown table, numbers to three decimals, each interval in one column, and the notes as a list."""
    rows = [_merged(row) for row in table.rows]
    columns = list(rows[0]) if rows else []
    lines = [columns, ["---" if rows and _is_words(rows, name) else "---:" for name in columns]]
    lines += [[markdown_text(_cell(row[name])) for name in columns] for row in rows]
    lines[0] = [markdown_text(name) for name in columns]
    notes = [f"- {markdown_text(note)}" for note in table.notes]
    return "\n".join(["| " + " | ".join(line) + " |" for line in lines] + ["", *notes]) + "\n"


def sections(tables: Mapping[str, Table]) -> str:
    """Tables in markdown, each under its heading."""
    return "\n".join(f"## {markdown_text(title)}\n\n{to_markdown(table)}" for title, table in tables.items())


def write_table(folder: Path, name: str, table: Table) -> None:
    """Write `name`.csv for a program and `name`.md for a reader."""
    write_atomic(folder / f"{name}.csv", to_csv(table).encode())
    write_atomic(folder / f"{name}.md", to_markdown(table).encode())


def markdown_text(text: str) -> str:
    """Text that a page of markdown shows as it is: no tag, link, picture or emphasis, and in one line."""
    text = html.escape(" ".join(text.split()), quote=False).replace("\\", "&#92;")
    return "".join(f"\\{sign}" if sign in "|*[]`" else sign for sign in text)


def plain_rows(table: Table) -> dict[str, Any]:
    """For a page: "head", names of columns and whether they hold words, and "rows", each cell as [text, number]."""
    rows = [_merged(row) for row in table.rows]
    head: list[dict[str, Any]] = [{"name": name, "words": _is_words(rows, name)} for name in (rows[0] if rows else ())]

    def plain(text: Any, value: Any) -> list[Any]:
        return [_cell(text), value if isinstance(value, int | float) else None]

    cells = [
        [plain(merged[column["name"]], row.get(column["name"])) for column in head]
        for row, merged in zip(table.rows, rows, strict=True)
    ]
    return {"head": head, "rows": cells}


def to_text(table: Table) -> str:
    """Aligned columns, a block for each family with its numbers of people, prompts and seeds; WIDTH at most."""
    blocks: dict[str, list[dict[str, Any]]] = {}
    for row in table.rows:
        counts = ", ".join(f"{row[name]} {name}" for name in ("people", "prompts", "seeds") if row.get(name))
        family = str(row.get("family", ""))
        title = f"{FAMILIES.get(family, family)} ({counts})".lstrip() if counts else FAMILIES.get(family, family)
        cells = {name: value for name, value in _merged(row).items() if name not in ("people", "prompts", "seeds")}
        blocks.setdefault(title, []).append({name: value for name, value in cells.items() if name != "family"})
    columns = list(dict.fromkeys(name for rows in blocks.values() for row in rows for name in row))
    every = [row for rows in blocks.values() for row in rows]
    widths = {name: max(len(_heading(name)), *(len(_cell(row[name])) for row in every)) for name in columns}
    lines = ["  ".join(_aligned(_heading(name), widths[name], _is_words(every, name)) for name in columns)]
    for title, rows in blocks.items():
        lines += ["", title] if title else []
        lines += ["  ".join(_aligned(_cell(r[n]), widths[n], _is_words(every, n)) for n in columns) for r in rows]
    return "\n".join(line.rstrip()[:WIDTH] for line in [*lines, "", *table.notes]) + "\n"


def _merged(row: Mapping[str, Any]) -> dict[str, Any]:
    """The row with each pair of interval ends as one cell, "-0.012 +0.034"; blank if there is no interval."""
    merged = {}
    for name, value in row.items():
        if name in INTERVALS:
            high, heading = INTERVALS[name]
            merged[heading] = None if value is None else f"{_round(value):+.3f} {_round(row[high]):+.3f}"
        elif name not in ENDS:
            merged[name] = f"{_round(value):+.3f}" if name == "difference" and value is not None else value
    return merged


def _cell(value: Any) -> str:
    if isinstance(value, tuple):
        return " ".join(map(_cell, value))
    if value is None:
        return ""
    return f"{_round(value):.3f}" if isinstance(value, float) else str(value)


def _round(value: float) -> float:
    """To three decimals, and never to -0."""
    return round(value, 3) + 0.0


def _heading(name: str) -> str:
    return SHORT.get(name, name)


def _aligned(text: str, width: int, words: bool) -> str:
    return text.ljust(width) if words else text.rjust(width)


def _is_words(rows: Sequence[Mapping[str, Any]], name: str) -> bool:
    """Whether a column holds names, which are set flush left, rather than numbers."""
    return any(isinstance(row[name], str) and row[name][:1].isalpha() for row in rows)
