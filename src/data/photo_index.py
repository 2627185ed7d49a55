"""The index of a photo folder: one file, made once, that says which photos there are and which cannot be used.

Every photo is decoded once, since a truncated file shows in no other way; 70,000 of them take minutes, not the start of
every run. The index is trusted as long as no folder in it has had a file added, removed or renamed (their times of
modification say so, without walking through them); then the new and the changed files alone are looked at.
"""

import json
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

from PIL import Image
from tqdm import tqdm

from src.files import cells
from src.files.folders import SUFFIXES, Echo, is_picture, tell_left_out, walk
from src.files.whole import locked, write_atomic

SHOWN = 3  # problems that a message quotes

Decode = Callable[[Path], Image.Image]


@dataclass(frozen=True)
class Photo:
    """One file: its path below the folder, state on disk, size in pixels, and why it cannot be read (None: it can)."""

    path: str
    bytes: int
    modified_ns: int
    width: int = 0
    height: int = 0
    problem: str | None = None


@dataclass(frozen=True)
class PhotoIndex:
    """What lies in `file` about `folder`: its subfolders' times of modification, and its photos by path."""

    folder: Path
    file: Path
    folders: dict[str, int]
    photos: list[Photo]

    def usable(self, objection: Callable[[int, int], str | None], *, max_bad: float, echo: Echo = print) -> list[str]:
        """Paths of the photos that can be read and to whose (width, height) there is no objection.

        The others are written to a list beside the index and counted. ValueError if they are more than the share
        `max_bad` of all, or if none is left; FileNotFoundError if there are no photos at all.
        """
        if not 0 <= max_bad <= 1:
            raise ValueError(f"max_bad ({max_bad}) must be a share of the photos, in [0, 1]")
        problems = {p.path: p.problem or objection(p.width, p.height) for p in self.photos}
        good, bad = (
            [path for path, problem in problems.items() if bool(problem) is is_bad] for is_bad in (False, True)
        )
        if bad:
            self._tell([(path, str(problems[path])) for path in bad], max_bad, echo)
        return good

    def _tell(self, bad: list[tuple[str, str]], max_bad: float, echo: Echo) -> None:
        listed, columns = self.file.with_name(f"{self.file.stem}-unusable.csv"), ("photo", "problem")
        rows = [dict(zip(columns, pair, strict=True)) for pair in bad]
        write_atomic(listed, cells.to_text(rows, columns).encode())
        quoted = "; ".join(f"{path}: {problem}" for path, problem in bad[:SHOWN])
        problem = f"{len(bad)} of {len(self.photos)} photos below {self.folder} cannot be used ({quoted}"
        problem += "; ..." if len(bad) > SHOWN else ""
        if len(bad) > max_bad * len(self.photos) or len(bad) == len(self.photos):
            raise ValueError(
                f"{problem}), which is more than max_bad ({max_bad:.2%}) allows: mend or remove them, or raise "
                f"data.train.max_bad; all are listed in {listed}"
            )
        echo(f"{problem}) and are left out; all are listed in {listed}")


def index_file(folder: Path, indexes: Path) -> Path:
    """Where the index of a folder lies among other folders' indexes."""
    whole = folder.resolve()
    return indexes / f"{whole.name}-{sha256(str(whole).encode()).hexdigest()[:12]}.json"


def photo_index(folder: Path, indexes: Path, *, decode: Decode, echo: Echo = print) -> PhotoIndex:
    """Read a folder's index below `indexes`, or make it; one process does so, others wait and read.

    decode: path -> picture, raising ValueError with what is wrong. Raises FileNotFoundError for a folder that isn't
    there or has no photos, and OSError where the index cannot be written.
    """
    file = index_file(folder, indexes)
    with locked(file.with_suffix(".lock"), f"the index of {folder}", echo):
        known = _read(folder, file)
        if known is not None and known.folders == _times(folder, known.folders):
            return known
        index = _made(folder, file, known, decode)
        tell_left_out(folder, echo)
        plain: dict[str, Any] = {"folder": str(folder.resolve()), "folders": index.folders}
        plain |= {"photos": [list(asdict(photo).values()) for photo in index.photos]}
        write_atomic(file, json.dumps({"sha256": _digest(plain), **plain}, ensure_ascii=False).encode())
        echo(f"{len(index.photos)} photos below {folder} are indexed in {file}")
        return index


def photo_paths(folder: Path) -> list[str]:
    """Sorted paths, below the folder, of all files that may be photos. FileNotFoundError if there are none."""
    return [path for path, _, _ in _walk(folder)[1]]


def _read(folder: Path, file: Path) -> PhotoIndex | None:
    """What lies in `file`; None without one, or for one of before indexes carried their digest."""
    if not file.exists():
        return None
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        if "sha256" not in content:
            return None
        if content.pop("sha256") != _digest(content):
            raise ValueError("its SHA-256 is another than it says")
        return PhotoIndex(folder, file, content["folders"], [Photo(*row) for row in content["photos"]])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"the photo index {file} is damaged ({error}): delete it to have it made again") from error


def _digest(index: dict[str, Any]) -> str:
    return sha256(json.dumps(index, ensure_ascii=False).encode()).hexdigest()


def _times(folder: Path, below: dict[str, int]) -> dict[str, int]:
    """Times of modification of those of these subfolders that exist, in ns."""
    there = [name for name in below if (folder / name).is_dir()]
    return {name: (folder / name).stat().st_mtime_ns for name in there}


def _walk(folder: Path) -> tuple[dict[str, int], list[tuple[str, int, int]]]:
    """Subfolders with their times of modification; (path, bytes, modified_ns) of all files that may be photos."""
    folders, files = {}, []
    for place, names in walk(folder):
        folders[os.path.relpath(place, folder)] = os.stat(place).st_mtime_ns
        for path in (place / name for name in names):
            if is_picture(path):
                state = path.stat()
                files.append((path.relative_to(folder).as_posix(), state.st_size, state.st_mtime_ns))
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {folder}: give another data.train.folder")
    if not files:
        raise FileNotFoundError(f"no photos ({', '.join(SUFFIXES)}) below {folder}: give another data.train.folder")
    return folders, sorted(files)


def _made(folder: Path, file: Path, known: PhotoIndex | None, decode: Decode) -> PhotoIndex:
    """The index as of now; files that were looked at before, and have not changed since, are not decoded again."""
    folders, files = _walk(folder)
    before = {(p.path, p.bytes, p.modified_ns): p for p in known.photos} if known else {}
    new = [state for state in files if state not in before]
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # Pillow decodes outside Python's lock
        seen = pool.map(partial(_seen, folder, decode), new)
        looked = dict(zip(new, tqdm(seen, "looking at photos", len(new), delay=2), strict=True))
    return PhotoIndex(folder, file, folders, [before.get(state) or looked[state] for state in files])


def _seen(folder: Path, decode: Decode, state: tuple[str, int, int]) -> Photo:
    try:
        picture = decode(folder / state[0])
    except ValueError as error:
        return Photo(*state, problem=" ".join(str(error).split()))
    return Photo(*state, picture.width, picture.height)
