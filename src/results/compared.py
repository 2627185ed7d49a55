"""Finished runs, read to be compared: rows, names, and which of them are floors and ceilings."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from src.results import store
from src.results.tables import ANCHORS

Rows = list[dict[str, Any]]
Cell = tuple[str, str, str]  # person, prompt, seed
CELL = ("person", "prompt", "seed")
FLOORS = ("copy", "other", "generic")


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
        return "method" if self.kind not in ANCHORS else "floor" if self.kind in FLOORS else "ceiling"

    def cells(self) -> dict[Cell, dict[str, Any]]:
        """The rows by person, prompt and seed."""
        return {cell_of(row): row for row in self.rows}

    def file(self, name: str) -> Path:
        """A file that a row names, relative to the run's folder."""
        return self.folder / name


def cell_of(row: Mapping[str, Any]) -> Cell:
    """Person, prompt and seed of a row, as text."""
    return str(row["person"]), str(row["prompt"]), str(row["seed"])


def read_sides(folders: Sequence[Path], names: Sequence[str] | None = None) -> list[Side]:
    """The runs in these folders; methods first, then floors and ceilings, each folder once.

    A run of `ablate` stands for its sides. names: what to call them, in this order; None: the kind of run, with the
    start of its digest where several are of one kind.

    Raises:
        ValueError: naming every run that is missing, unfinished or without scores, every image that is missing, and
            every person, prompt and seed that a run has twice; or if names don't fit.
    """
    every = list(dict.fromkeys(side.resolve() for folder in folders for side in _sides_of(Path(folder))))
    problems = [problem for folder in every for problem in _problems(folder)]
    if problems:
        raise ValueError(f"these runs cannot be compared: {'; '.join(problems)}")
    found = [_read(folder) for folder in every]
    found = [side for side in found if side.kind not in ANCHORS] + sorted(
        (side for side in found if side.kind in ANCHORS), key=lambda side: ANCHORS.index(side.kind)
    )
    _check_anchors(found)
    return _named(found, names)


def _sides_of(folder: Path) -> Iterator[Path]:
    """The run itself, or the sides that it compared."""
    summary = folder / "summary.json"
    sides = store.read_json(summary).get("sides") if summary.exists() else None
    if isinstance(sides, dict):
        yield from (folder.resolve().parents[1] / kind / digest for kind, digest in sides.items())
    else:
        yield folder


def _problems(folder: Path) -> Iterator[str]:
    if not folder.is_dir():
        yield f"{folder} is {'no folder of a run' if folder.exists() else 'not there'}"
    elif not (folder / "summary.json").exists():
        yield f"{folder} is not finished (it has no summary.json): give its command again, it goes on where it stopped"
    elif not (folder / "scores.csv").exists():
        yield f"{folder} has no scores.csv: choose runs that were judged"
    else:
        rows = store.read_csv(folder / "scores.csv")
        absent = [name for name in ("file", *CELL) if rows and name not in rows[0]]
        if absent or not rows:
            yield f"{folder / 'scores.csv'} has no {', '.join(absent) or 'rows'}"
            return
        named = [row[name] for row in rows for name in ("file", "photo") if row.get(name)]
        outside = list(dict.fromkeys(name for name in named if not store.inside(folder, name)))
        lost = [row["file"] for row in rows if row["file"] and not (folder / row["file"]).is_file()]
        twice = [cell for cell, times in Counter(cell_of(row) for row in rows).items() if times > 1]
        if outside:
            yield f"{folder / 'scores.csv'} names pictures outside its folder: {', '.join(outside)}"
        if lost:
            yield f"{folder} lacks the images {', '.join(lost)}"
        if twice:
            yield f"{folder} has twice: {', '.join(' / '.join(cell) for cell in twice)}"


def _read(folder: Path) -> Side:
    sittings = store.read_jsonl(folder / "sittings.jsonl")
    about = sittings[0] if sittings else {}
    kind = str(about.get("kind", folder.parent.name))
    summary, rows = store.read_json(folder / "summary.json"), store.read_csv(folder / "scores.csv")
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
        found = ", ".join(side.folder.parent.name + "/" + side.folder.name for side in sides)
        raise ValueError(f"names ({', '.join(names)}) must be {len(sides)} different names, for {found}")
    return [replace(side, name=name) for side, name in zip(sides, names, strict=True)]


def gaps(sides: Sequence[Side]) -> list[str]:
    """What not all runs have, in words: each image that one of them lacks, by person, prompt and seed."""
    every = list(dict.fromkeys(cell for side in sides if side.role == "method" for cell in side.cells()))
    notes = []
    for side in sides:
        own = side.cells()
        missing = [" / ".join(cell) for cell in every if cell not in own]
        if missing:
            notes.append(f"{side.name} lacks {len(missing)} of {len(every)} images: {'; '.join(missing)}")
    return notes
