"""CSV files that may have gone through a spreadsheet: read as they were meant where that is clear, else named."""

import codecs
import csv
import io
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from src.files import cells

SEPARATORS = (",", ";", "\t")  # a spreadsheet writes semicolons where commas stand in numbers
LONGEST = 100_000  # letters of a first line that are looked at
SAVE = "save it as CSV in UTF-8, and give it again"
MARKS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}


def read_sheet(path: Path, needed: Sequence[str] = ()) -> list[dict[str, str]]:
    """The rows of a CSV file, every cell as text.

    UTF-8 or UTF-16, with or without its byte-order mark; commas, semicolons or tabs. Blank rows, and blank columns
    without a name, which spreadsheets add, are left out; marked cells (`cells`) are unmarked. needed: columns that
    must be there. FileNotFoundError without such a file; ValueError says with line and remedy what is wrong with it:
    another encoding, a column that is missing or stands there twice, too many or too few cells, an open quote, a cell
    longer than 131,072 letters.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path} is no file: give the path of a CSV file")
    text = _decoded(path)
    named = re.match(r"sep=(.)\r?\n", text)  # a line for spreadsheets alone
    separator = named[1] if named else _separator(text, needed)
    (_, names), *rows = _lines(path, text[named.end() :] if named else text, separator) or [(1, [])]
    names = [cells.unmarked(name.strip()) for name in names]
    _check_names(path, names, needed)
    ragged = [str(line) for line, row in rows if len(row) < len(names) or any(row[len(names) :])]
    ragged += [str(line) for line, row in rows for name, cell in zip(names, row, strict=False) if cell and not name]
    if ragged:
        raise ValueError(f"{path}: line(s) {', '.join(dict.fromkeys(ragged))} have too many or too few cells; {SAVE}")
    return [{name: cells.unmarked(cell) for name, cell in zip(names, row, strict=False) if name} for _, row in rows]


def _decoded(path: Path) -> str:
    content = path.read_bytes()
    encoding = next((name for mark, name in MARKS.items() if content.startswith(mark)), _unmarked(content))
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise ValueError(
            f"{path} is not in UTF-8 (line {line} holds the byte {content[error.start]:#04x}), and what its letters "
            f"mean cannot be told: {SAVE}"
        ) from error
    if "\0" in text:
        raise ValueError(f"{path} is no CSV file (it holds zero bytes): {SAVE}")
    return text


def _unmarked(content: bytes) -> str:
    """UTF-16 without its mark has a zero in every other byte of plain letters."""
    start = content[:200]
    odd, even = start[1::2].count(0), start[::2].count(0)
    if 2 * max(odd, even) > len(start[::2]) and min(odd, even) == 0:
        return "utf-16-le" if odd else "utf-16-be"
    return "utf-8"


def _separator(text: str, needed: Sequence[str]) -> str:
    """The one by which the first line holds the most of the needed columns, or else the most columns."""
    first = re.split(r"[\r\n]", text, maxsplit=1)[0][:LONGEST]
    heads = {each: next(csv.reader([first], delimiter=each), []) for each in SEPARATORS}
    found = {each: len({name.strip() for name in head} & set(needed)) for each, head in heads.items()}
    return max(SEPARATORS, key=lambda each: (found[each], each == "," and len(heads[","]) > 1, len(heads[each])))


def _lines(path: Path, text: str, separator: str) -> list[tuple[int, list[str]]]:
    """(number of its last line, cells) of every row that is not blank."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)

    def rows() -> Iterator[tuple[int, list[str]]]:
        for row in reader:
            if any(cell.strip() for cell in row):
                yield reader.line_num, row

    try:
        return list(rows())
    except csv.Error as error:
        raise ValueError(f"{path} cannot be read at line {reader.line_num} ({error}): mend it, or {SAVE}") from error


def _check_names(path: Path, names: Sequence[str], needed: Sequence[str]) -> None:
    missing = [name for name in needed if name not in names]
    if missing:
        raise ValueError(f"{path} lacks the column(s) {', '.join(missing)}: it needs {', '.join(needed)}")
    twice = sorted({name for name in names if name and names.count(name) > 1})
    if twice:
        raise ValueError(f"{path} has the column(s) {', '.join(twice)} twice: remove one of them")
