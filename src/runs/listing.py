"""What a complete folder holds: a list of its files with their digests, by which whatever is reused is checked."""

import hashlib
import os
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Any

from src.files.whole import AGAIN, read_object, write_atomic
from src.runs.digests import file_digest
from src.runs.store import as_json, write_json

LISTING, SUMMARY = "files.json", "summary.json"
APART = ("wandb", "checkpoints")  # a mirror, and files that have their digests beside them


def write_listing(folder: Path, more: Iterable[str] = (), known: dict[str, str] | None = None) -> None:
    """Write files.json: the SHA-256 of a folder's files, of those behind links in `more`, and what is `known`."""
    names = dict.fromkeys([*_names(folder), *(name for name in more if (folder / name).is_file())])
    write_json(folder / LISTING, {name: file_digest(folder / name) for name in names} | (known or {}))


def complete(folder: Path, summary: dict[str, Any], more: Iterable[str] = ()) -> None:
    """List all files, then write summary.json, the mark of completeness, which is in the list, too."""
    content = as_json(summary)
    write_listing(folder, more, {SUMMARY: hashlib.sha256(content).hexdigest()})
    write_atomic(folder / SUMMARY, content)


def faults(folder: Path, only: Collection[str] | None = None) -> list[str]:
    """What of a complete folder (or of these files of it) is not as it was written, in words; [] where all is well.

    A folder of before files were listed has no faults: nothing is known of it.
    """
    if not (folder / LISTING).exists():
        return []
    listed = read_object(folder / LISTING)
    wrong = []
    for name, digest in listed.items():
        if only is not None and name not in only:
            continue
        if not (folder / name).is_file():
            wrong.append(f"{folder / name} is missing")
        elif file_digest(folder / name) != digest:
            wrong.append(f"{folder / name} cannot be read as it was written (its SHA-256 is another)")
    return wrong


def check_listing(folder: Path, only: Collection[str] | None = None) -> None:
    """Raise ValueError naming every file of a complete folder that is damaged or missing, with the remedy.

    Where all files are asked for, the list itself must be there.
    """
    wrong = faults(folder, only)
    if only is None and not (folder / LISTING).exists():
        wrong = [f"{folder / LISTING} is missing"]
    if wrong:
        raise ValueError(f"{'; '.join(wrong)}: {AGAIN} ({folder})")


def _names(folder: Path) -> Iterator[str]:
    """The files below a folder, but hidden ones, the list itself, and what has digests of its own."""
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if name not in APART and not name.startswith("."))
        for name in sorted(names):
            if not name.startswith(".") and name not in (LISTING, SUMMARY):
                yield Path(place, name).relative_to(folder).as_posix()
