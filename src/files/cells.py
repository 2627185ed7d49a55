"""Cells of a CSV file: what a spreadsheet would take for a formula is marked, and read back unmarked."""

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

MARK = "'"
# a formula's first sign (full-width ones count), and the white space that spreadsheets drop; behind any marks
_FORMULA = re.compile(rf"{MARK}*\s*[=+\-@\uff1d\uff0b\uff0d\uff20]|{MARK}*[\t\r\n]")


def marked(value: Any) -> Any:
    """The value, behind a mark if it is a text that a spreadsheet would run; numbers stay as they are."""
    return MARK + value if isinstance(value, str) and _FORMULA.match(value) and not _is_number(value) else value


def unmarked(cell: Any) -> Any:
    """What `marked` was given."""
    return cell[1:] if isinstance(cell, str) and cell.startswith(MARK) and _FORMULA.match(cell[1:]) else cell


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def to_text(rows: Sequence[Mapping[str, Any]], columns: Iterable[str]) -> str:
    """Rows as CSV under a line with the columns; missing values and None are blank."""
    columns = list(columns)
    lines = [_line(columns), *(_line([row.get(column) for column in columns]) for row in rows)]
    return "".join(lines)


def _line(values: Sequence[Any]) -> str:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\r\n").writerow([marked(value) for value in values])  # so that "\r" is quoted, too
    return text.getvalue().removesuffix("\r\n") + "\n"
