"""A folder of images to be judged: its manifest (file, person, prompt, seed), its photos, and all that is wrong."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from src import cells
from src.metrics.score import Scene

NEEDED = ("file", "person", "prompt", "seed")
NAMES = ("manifest.csv", "images.csv")
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")


def read_scene(images: Path, photos: Path | None, manifest: Path | None = None, *, need_photos: bool = True) -> Scene:
    """The images that a manifest lists, with their people's photos.

    manifest: a CSV file with the columns file (relative to `images`), person, prompt and seed; `family` (a name for a
    group of prompts) and `photo` (the input photo, relative to `images`) may be there too. None is manifest.csv or
    images.csv in `images`. photos: a folder with a file PERSON.png or a folder PERSON of files for each person; a
    person's input photo is the row's `photo`, or else the first of the files by name, and all others are photos that
    the method did not see. None: the rows' `photo` alone. need_photos: False where no judge looks at a photo.

    Raises:
        FileNotFoundError: there is no such folder or no manifest.
        ValueError: listing rows that name what lies outside of these folders, by `..`, absolute or as a link; rows
            without files, files without rows, rows that stand there twice, people without photo.
    """
    for folder in filter(None, (images, photos)):
        if not folder.is_dir():
            raise FileNotFoundError(f"{folder} is no folder: give one with images, and one with photos of the people")
    rows = _rows(manifest or _found(images))
    paths = [images / row["file"] for row in rows]
    known = {str(row["person"]): _photos(photos, str(row["person"])) if photos else [] for row in rows}
    inputs = [_input(images, row, known) for row in rows]
    _refuse([("row(s) that name a picture outside the folder", _outside(images, rows, photos, known))])
    _refuse(
        [
            ("row(s) without a file", [str(path) for path in paths if not path.is_file()]),
            ("file(s) without a row", _unlisted(paths)),
            ("row(s) with the same file", _twice(row["file"] for row in rows)),
            ("rows with the same person, prompt and seed", _twice(_cell(row) for row in rows)),
            ("row(s) with a blank cell", [row["file"] or str(row) for row in rows if not all(map(row.get, NEEDED))]),
            ("person(s) without a photo", _lacking(rows, inputs) if need_photos else []),
        ]
    )
    if not need_photos:
        return Scene(rows, paths, [], {})
    given = {(str(row["person"]), photo.resolve()) for row, photo in zip(rows, inputs, strict=True) if photo}
    others = {person: [p for p in every if (person, p.resolve()) not in given] for person, every in known.items()}
    return Scene(rows, paths, [photo for photo in inputs if photo], {who: rest for who, rest in others.items() if rest})


def image_files(folder: Path) -> list[Path]:
    """All images below a folder, by name; FileNotFoundError if there is none."""
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    if not found:
        raise FileNotFoundError(f"{folder} has no images ({', '.join(SUFFIXES)})")
    return found


def _found(images: Path) -> Path:
    there = [images / name for name in NAMES if (images / name).is_file()]
    if not there:
        raise FileNotFoundError(
            f"{images} has no manifest.csv: write one with the columns {', '.join(NEEDED)}, or set manifest=FILE"
        )
    return there[0]


def _rows(path: Path) -> list[dict[str, Any]]:
    if not path.is_file():
        raise FileNotFoundError(f"manifest {path} does not exist")
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        missing = [column for column in NEEDED if column not in map(cells.unmarked, reader.fieldnames or ())]
        rows = [cells.unmarked_row(row) for row in reader]
    if missing or not rows:
        lacking = f"the column(s) {', '.join(missing)}" if missing else "rows"
        raise ValueError(f"{path} lacks {lacking}: it needs {', '.join(NEEDED)}, one row an image")
    ragged = [str(number) for number, row in enumerate(rows, 2) if None in row or None in row.values()]
    if ragged:
        raise ValueError(f"{path}: line(s) {', '.join(ragged)} have too many or too few cells")
    return [{**{name: row[name] for name in NEEDED}, "family": row.get("family") or "own", **row} for row in rows]


def _outside(
    images: Path, rows: Sequence[dict[str, Any]], photos: Path | None, known: Mapping[str, Sequence[Path]]
) -> list[str]:
    """What rows name outside their folder: it could be anybody's, and would be copied wherever results go."""
    given = [images, *([photos] if photos else [])]
    found = [row["file"] for row in rows if row["file"] and not _within([images], images / row["file"])]
    found += [row["photo"] for row in rows if row.get("photo") and not _within(given, images / row["photo"])]
    for person, files in known.items():
        found += [f"{person} ({file})" for file in files if not _within(given[1:], file)]
    return list(dict.fromkeys(found))


def _within(folders: Sequence[Path], file: Path) -> bool:
    """Whether a file lies below one of the folders, links followed."""
    return any(file.resolve().is_relative_to(folder.resolve()) for folder in folders)


def _photos(folder: Path, person: str) -> list[Path]:
    single = [folder / f"{person}{suffix}" for suffix in SUFFIXES]
    several = (folder / person).iterdir() if (folder / person).is_dir() else ()
    return [path for path in [*single, *sorted(several)] if path.suffix.lower() in SUFFIXES and path.is_file()]


def _input(images: Path, row: dict[str, Any], known: dict[str, list[Path]]) -> Path | None:
    named = images / row["photo"] if row.get("photo") else None
    return named or next(iter(known[str(row["person"])]), None)


def _unlisted(paths: Sequence[Path]) -> list[str]:
    """Images beside the listed ones, in the same folders."""
    listed = {path.resolve() for path in paths}
    folders = {path.parent for path in listed if path.parent.is_dir()}
    beside = (p for folder in sorted(folders) for p in sorted(folder.iterdir()) if p.suffix.lower() in SUFFIXES)
    return [str(path) for path in beside if path.resolve() not in listed]


def _twice(values: Iterable[str]) -> list[str]:
    return [value for value, count in Counter(values).items() if count > 1]


def _cell(row: dict[str, Any]) -> str:
    return f"{row['person']} / {row['prompt']} / {row['seed']}"


def _lacking(rows: Sequence[dict[str, Any]], inputs: Sequence[Path | None]) -> list[str]:
    without = (row["person"] for row, path in zip(rows, inputs, strict=True) if path is None or not path.is_file())
    return list(dict.fromkeys(without))


def _refuse(faults: Sequence[tuple[str, Sequence[str]]]) -> None:
    found = [f"{len(names)} {what}: {', '.join(names)}" for what, names in faults if names]
    if found:
        raise ValueError(f"the manifest does not fit: {'; '.join(found)}")
