"""What is to be judged: images with their rows (file, person, prompt, seed) and photos, and all that is wrong."""

import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from src.files.folders import (
    SUFFIXES,
    Echo,
    as_written,
    pictures_below,
    pictures_in,
    pictures_of,
    plain_name,
    tell_left_out,
    within,
)
from src.files.rows import CELL, COLUMNS, Row, Rows, cell_of
from src.files.sheets import read_sheet

PLACEHOLDER = "S*"
NEEDED = ("file", *CELL)
# what other programs write for the person: rare words, a letter with a star, words in angle or square brackets
FOREIGN = re.compile(r"\b(?:sks|ohwx|zwx|hta|olis|xyz)\b|(?<!\w)[a-z]\s?\*|<[\w\s*.-]+>|\[[a-z]\d?\*?\]", re.IGNORECASE)
NAMES = ("manifest.csv", "images.csv")


@dataclass(frozen=True)
class Scene:
    """What is judged: rows, the image file of each, its input photo, and the person's other photos."""

    rows: Sequence[Row]
    images: Sequence[Path]
    photos: Sequence[Path]  # empty if no photo is needed
    others: Mapping[str, Sequence[Path]]  # person -> photos that the method did not see

    @property
    def every_photo(self) -> list[Path]:
        """Input photos and others."""
        return [*self.photos, *(path for several in self.others.values() for path in several)]


def scene_of_run(folder: Path, *, need_photos: bool = True) -> Scene:
    """The images of a run of ours: images.csv has the columns COLUMNS, paths relative to `folder` (or absolute).

    FileNotFoundError without images.csv, ValueError without one of its columns.
    """
    rows = read_sheet(folder / "images.csv", COLUMNS)
    images, photos = ([folder / row[name] for row in rows] for name in ("file", "photo"))
    return Scene(rows, images, photos if need_photos else [], {})


def read_scene(
    images: Path, photos: Path | None, manifest: Path | None = None, *, need_photos: bool = True, echo: Echo = print
) -> Scene:
    """The images that a manifest lists, with their people's photos.

    manifest: a CSV file with the columns file (relative to `images`), person, prompt and seed; `family` (a name for a
    group of prompts) and `photo` (the input photo, relative to `images`) may be there too. None is manifest.csv or
    images.csv in `images`. photos: a folder with a file PERSON.png or a folder PERSON of files for each person; a
    person's input photo is the row's `photo`, or else the first of the files by name, and all others are photos that
    the method did not see. None: the rows' `photo` alone. need_photos: False where no judge looks at a photo.
    Hidden and system files are left out and counted; a person's name is its folder's, or its file's without suffix.

    FileNotFoundError without such a folder or manifest. ValueError lists rows that name what lies outside of these
    folders, by `..`, absolute or as a link; rows without files, files without rows, rows that stand there twice,
    people without photo.
    """
    for folder in filter(None, (images, photos)):
        if not folder.is_dir():
            raise FileNotFoundError(f"{folder} is no folder: give one with images, and one with photos of the people")
    rows = _rows(manifest or _manifest_in(images))
    if photos:
        rows = with_zeros(rows, photos, echo)
    for folder in filter(None, (images, photos)):
        tell_left_out(folder, echo)
    paths = [as_written(images / row["file"]) for row in rows]
    known = {person: pictures_of(photos, person) if photos else [] for person in {str(row["person"]) for row in rows}}
    inputs = [_input(images, row, known) for row in rows]
    _refuse([("row(s) that name a picture outside the folder", _outside(images, rows, photos, known))])
    _refuse(
        [
            ("row(s) without a file", [str(path) for path in paths if not path.is_file()]),
            ("file(s) without a row", _unlisted(paths)),
            ("row(s) with the same file", _twice(row["file"] for row in rows)),
            ("rows with the same person, prompt and seed", _twice(" / ".join(cell_of(row)) for row in rows)),
            ("row(s) with a blank cell", [row["file"] or str(row) for row in rows if not all(map(row.get, NEEDED))]),
            ("person(s) without a photo", _lacking(rows, inputs) if need_photos else []),
        ]
    )
    if not need_photos:
        return Scene(rows, paths, [], {})
    given = {(str(row["person"]), photo.resolve()) for row, photo in zip(rows, inputs, strict=True) if photo}
    others = {person: [p for p in every if (person, p.resolve()) not in given] for person, every in known.items()}
    return Scene(rows, paths, [photo for photo in inputs if photo], {who: rest for who, rest in others.items() if rest})


def foreign_placeholders(rows: Sequence[Row]) -> list[str]:
    """A note where no prompt holds S* but some hold what other programs write for the person; [] where all is well."""
    prompts = dict.fromkeys(str(row["prompt"]) for row in rows)
    words = {match.group(): None for prompt in prompts for match in FOREIGN.finditer(prompt)}
    if not words or any(PLACEHOLDER in prompt for prompt in prompts):
        return []
    listed = ", ".join(f'"{word}"' for word in words)
    return [
        f"no prompt holds {PLACEHOLDER}, some hold {listed}: text judges read that as it stands; if it is the person, "
        f"write {PLACEHOLDER}, which is replaced by `generic`"
    ]


def image_files(folder: Path, echo: Echo = print) -> list[Path]:
    """All images below a folder, by path; hidden and system files are counted. FileNotFoundError if there is none."""
    images = pictures_below(folder)
    if not images:
        raise FileNotFoundError(f"{folder} has no images ({', '.join(SUFFIXES)})")
    tell_left_out(folder, echo)
    return images


def _manifest_in(images: Path) -> Path:
    there = [images / name for name in NAMES if (images / name).is_file()]
    if not there:
        raise FileNotFoundError(
            f"{images} has no manifest.csv: write one with the columns {', '.join(NEEDED)}, or set manifest=FILE"
        )
    return there[0]


def _rows(path: Path) -> Rows:
    rows = read_sheet(path, NEEDED)
    if not rows:
        raise ValueError(f"{path} lacks rows: it needs {', '.join(NEEDED)}, one row an image")
    named = [{**row, "person": plain_name(row["person"])} for row in rows]
    return [{**{name: row[name] for name in NEEDED}, "family": row.get("family") or "own", **row} for row in named]


def with_zeros(rows: Sequence[Row], photos: Path, echo: Echo) -> Rows:
    """The rows, in which a person called 1 is 001 if the folder of photos has nobody else of that number.

    Spreadsheets take the zeros away. A person whom the folder has under the very name stays.
    """
    known = {plain_name(path.name if path.is_dir() else path.stem) for path in photos.iterdir()}
    written = {}
    for person in {row["person"] for row in rows if row["person"].isdecimal() and row["person"] not in known}:
        same = [name for name in known if name.isdecimal() and int(name) == int(person)]
        if len(same) == 1:
            written[person] = same[0]
    if written:
        told = ", ".join(f"{person} as {name}" for person, name in sorted(written.items()))
        echo(f"the manifest has lost zeros, as spreadsheets lose them: it is read {told}")
    return [{**row, "person": written.get(row["person"], row["person"])} for row in rows]


def _outside(images: Path, rows: Sequence[Row], photos: Path | None, known: Mapping[str, Sequence[Path]]) -> list[str]:
    """What rows name outside their folder: it could be anybody's, and would be copied wherever results go."""
    given = [images, *([photos] if photos else [])]
    outside = [row["file"] for row in rows if row["file"] and not within(images, images / row["file"])]
    outside += [
        row["photo"]
        for row in rows
        if row.get("photo") and not any(within(home, images / row["photo"]) for home in given)
    ]
    outside += [person for person in known if person and Path(person).name != person]  # "../anna", "/photos/anna"
    for person, files in known.items():
        outside += [f"{person} ({file})" for file in files if not any(within(home, file) for home in given[1:])]
    return list(dict.fromkeys(outside))


def _input(images: Path, row: Row, known: dict[str, list[Path]]) -> Path | None:
    named = as_written(images / row["photo"]) if row.get("photo") else None
    return named or next(iter(known[str(row["person"])]), None)


def _unlisted(paths: Sequence[Path]) -> list[str]:
    """Images beside the listed ones, in the same folders."""
    listed = {Path(os.path.realpath(path)) for path in paths}  # which a link that leads to itself does not stop
    folders = {path.parent for path in listed if path.parent.is_dir()}
    beside = (path for folder in sorted(folders) for path in pictures_in(folder))
    return [str(path) for path in beside if path.resolve() not in listed]


def _twice(values: Iterable[str]) -> list[str]:
    return [value for value, count in Counter(values).items() if count > 1]


def _lacking(rows: Sequence[Row], inputs: Sequence[Path | None]) -> list[str]:
    without = (row["person"] for row, path in zip(rows, inputs, strict=True) if path is None or not path.is_file())
    return list(dict.fromkeys(without))


def _refuse(faults: Sequence[tuple[str, Sequence[str]]]) -> None:
    lines = [f"{len(names)} {what}: {', '.join(names)}" for what, names in faults if names]
    if lines:
        raise ValueError(f"the manifest does not fit: {'; '.join(lines)}")
