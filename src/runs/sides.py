"""Several finished runs, read as the sides of a comparison: rows, names, and which are floors and ceilings."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from src.files.rows import CELL, Cell, Rows, cell_of
from src.files.whole import AGAIN, read_object
from src.runs import listing, store
from src.runs.digests import file_digest
from src.runs.links import inside
from src.runs.people import names_by_photo
from src.statistics.means import number
from src.statistics.scale import ANCHORS

READ = ("scores.csv", "summary.json", "config.json", "sittings.jsonl")


@dataclass(frozen=True)
class Side:
    """One run of a comparison. `about`: kind, digest, commit, start and versions of its first sitting.

    `role` is "method", "floor" or "ceiling": what the study called copy, other, generic, oracle or oracle_vae.
    """

    name: str
    kind: str
    folder: Path
    rows: Rows
    summary: Mapping[str, Any]
    about: Mapping[str, Any]

    @property
    def role(self) -> str:
        """Method, floor or ceiling."""
        return ANCHORS.get(self.kind, "method")

    def cells(self) -> dict[Cell, dict[str, Any]]:
        """The rows by person, prompt and seed."""
        return {cell_of(row): row for row in self.rows}

    def file(self, name: str) -> Path:
        """A file that a row names, relative to the run's folder."""
        return self.folder / name

    def contents(self) -> dict[str, str]:
        """The digest of everything that a comparison shows of the run: scores, summary, pictures and photos."""
        named = {str(row[column]) for row in self.rows for column in ("file", "photo") if row.get(column)}
        files = ["scores.csv", "summary.json", *sorted(named)]
        return {name: file_digest(self.file(name)) for name in files if self.file(name).is_file()}


def read_sides(folders: Sequence[Path], names: Sequence[str] | None = None) -> list[Side]:
    """The runs in these folders; methods first, then floors and ceilings, each folder once.

    A run of `ablate` stands for its sides. People are who their reference photos show, not what a run calls them
    (`src.runs.people`): rows of different photos never pair. names: what to call the runs, in this order; None:
    the kind of run, with the start of its digest where several are of one kind.

    ValueError names every run that is missing, unfinished or without scores, every image that is missing, and every
    person, prompt and seed that a run has twice; or names that don't fit.
    """
    every = list(dict.fromkeys(side.resolve() for folder in folders for side in _sides_of(Path(folder))))
    problems = [problem for folder in every for problem in _problems(folder)]
    if problems:
        raise ValueError(f"these runs cannot be compared: {'; '.join(problems)}")
    order = {kind: place for place, kind in enumerate(ANCHORS)}  # what is no anchor stands before them
    sides = sorted((_read(folder) for folder in every), key=lambda side: order.get(side.kind, -1))
    _check_anchors(sides)
    people = names_by_photo([(side.folder, side.rows) for side in sides])
    rows = [[{**r, "person": who[str(r["person"])]} for r in s.rows] for s, who in zip(sides, people, strict=True)]
    return _named([replace(side, rows=own) for side, own in zip(sides, rows, strict=True)], names)


def _sides_of(folder: Path) -> Iterator[Path]:
    """The run itself, or the sides that it compared."""
    summary = folder / "summary.json"
    sides = read_object(summary).get("sides") if summary.exists() else None
    if isinstance(sides, dict):
        yield from (folder.resolve().parents[1] / kind / digest for kind, digest in sides.items())
    else:
        yield folder


def _problems(folder: Path) -> Iterator[str]:
    """Why a folder cannot be read as a side, in words."""
    if not folder.is_dir():
        yield f"{folder} is {'no folder of a run' if folder.exists() else 'not there'}"
    elif not (folder / "summary.json").exists():
        yield f"{folder} is not finished (it has no summary.json): give its command again, it goes on where it stopped"
    elif not (folder / "scores.csv").exists():
        yield f"{folder} has no scores.csv: choose runs that were judged"
    else:
        try:
            rows = store.read_scores(folder / "scores.csv")
        except ValueError as error:
            yield str(error)
            return
        absent = [name for name in ("file", *CELL) if rows and name not in rows[0]]
        if absent or not rows:
            yield f"{folder / 'scores.csv'} has no {', '.join(absent) or 'rows'}"
        else:
            yield from _faults(folder, [dict(row) for row in rows])


def _faults(folder: Path, rows: Rows) -> Iterator[str]:
    """What is damaged, missing, no number, or there twice."""
    named = [row[name] for row in rows for name in ("file", "photo") if row.get(name)]
    outside = list(dict.fromkeys(name for name in named if not inside(folder, name)))
    inner = {name for name in (*READ, *named) if name not in outside and (folder / name).is_file()}
    yield from (f"{fault}: {AGAIN}" for fault in listing.faults(folder, inner))
    yield from _not_numbers(folder, rows)
    lost = [row["file"] for row in rows if row["file"] and not (folder / row["file"]).is_file()]
    twice = [cell for cell, times in Counter(cell_of(row) for row in rows).items() if times > 1]
    if outside:
        yield f"{folder / 'scores.csv'} names pictures outside its folder: {', '.join(outside)}"
    if lost:
        yield f"{folder} lacks the images {', '.join(lost)}"
    if twice:
        yield f"{folder} has twice: {', '.join(' / '.join(cell) for cell in twice)}"


def _not_numbers(folder: Path, rows: Rows) -> Iterator[str]:
    """Cells of scores that are neither blank nor a finite number."""
    for column in (name for name in rows[0] if "/" in name or name == "face_found"):
        bad = [f"{row['file']} ({row[column]})" for row in rows if not _is_score(row[column])]
        if bad:
            yield f"{folder / 'scores.csv'} has in the column {column} what is no finite number: {', '.join(bad)}"


def _is_score(value: str) -> bool:
    try:
        return value == "" or math.isfinite(number(value))
    except ValueError:
        return False


def _read(folder: Path) -> Side:
    sittings = store.read_jsonl(folder / "sittings.jsonl")
    about = sittings[0] if sittings else {}
    kind = str(about.get("kind", folder.parent.name))
    summary, rows = read_object(folder / "summary.json"), store.read_scores(folder / "scores.csv")
    return Side(kind, kind, folder, [dict(row) for row in rows], summary, about)


def _check_anchors(sides: Sequence[Side]) -> None:
    for kind, times in Counter(side.kind for side in sides).items():
        if kind in ANCHORS and times > 1:
            folders = ", ".join(str(side.folder) for side in sides if side.kind == kind)
            raise ValueError(f"{times} runs are {kind} ({folders}): there is one measure only, leave the others out")
    if all(side.kind in ANCHORS for side in sides):
        raise ValueError("there is no run to compare, only floors and ceilings: name at least one of a method")


def _named(sides: Sequence[Side], names: Sequence[str] | None) -> list[Side]:
    if names is None:
        times = Counter(side.kind for side in sides)
        names = [side.kind if times[side.kind] == 1 else f"{side.kind} {side.folder.name[:6]}" for side in sides]
    if len(names) != len(sides) or len(set(names)) != len(names):
        folders = ", ".join(side.folder.parent.name + "/" + side.folder.name for side in sides)
        raise ValueError(f"names ({', '.join(names)}) must be {len(sides)} different names, for {folders}")
    return [replace(side, name=name) for side, name in zip(sides, names, strict=True)]


def gaps(sides: Sequence[Side]) -> list[str]:
    """What not all runs have, in words: each image that one of them lacks, by person, prompt and seed, and photos."""
    every = list(dict.fromkeys(cell for side in sides if side.role == "method" for cell in side.cells()))
    notes = []
    for side in sides:
        rows = side.cells()
        missing = [" / ".join(cell) for cell in every if cell not in rows]
        if missing:
            notes.append(f"{side.name} lacks {len(missing)} of {len(every)} images: {'; '.join(missing)}")
        here = [bool(row.get("photo")) and side.file(row["photo"]).is_file() for row in side.rows]
        unseen = {str(row["person"]) for row, is_here in zip(side.rows, here, strict=True) if not is_here}
        if unseen and len(sides) > 1:
            notes.append(f"{side.name} holds no reference photo of {', '.join(sorted(unseen))}: paired by name alone")
    return notes
