"""The one rule for folders of pictures: which files are pictures, whom they show, and what is left out."""

import hashlib
import os
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path

# What may be a picture. HEIC cannot be decoded here: it is named as unusable, not passed over in silence.
SUFFIXES = (
    ".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif", ".heic",
    ".heif",
)  # fmt: skip
# what file managers, synchronisers and network drives leave behind, beside whatever begins with a dot
SYSTEM = (
    "@eadir", "@recycle", "@tmp", "#recycle", "#snapshot", "$recycle.bin", "__macosx", "__pycache__", "desktop.ini",
    "ehthumbs.db", "lost+found", "system volume information", "thumbs.db",
)  # fmt: skip
SHOWN = 5  # left-out files that a message names

Echo = Callable[[str], None]


def plain_name(name: str) -> str:
    """A name as it is compared: composed (NFC), for a Mac writes "Zoë" in two parts."""
    return unicodedata.normalize("NFC", name)


def is_left_out(name: str) -> bool:
    """Whether a file or folder of this name is hidden or of the system: nobody put it there as a picture."""
    return name.startswith(".") or name.lower() in SYSTEM


def is_picture(path: Path) -> bool:
    """Whether a file, which must be there, may be a picture by its name: suffixes count in any case."""
    return path.suffix.lower() in SUFFIXES and not is_left_out(path.name) and path.is_file()


def pictures_in(folder: Path) -> list[Path]:
    """The pictures that lie directly in a folder, by name."""
    return sorted((path for path in folder.iterdir() if is_picture(path)), key=_by_name)


def pictures_below(folder: Path) -> list[Path]:
    """The pictures in a folder and all its subfolders, links followed, by path."""
    return sorted((path for path in files_below(folder) if is_picture(path)), key=lambda path: path.as_posix())


def files_below(folder: Path) -> Iterator[Path]:
    """All files below a folder, links followed, but what is left out."""
    for place, names in walk(folder):
        yield from (place / name for name in names)


def sizes_digest(folder: Path) -> str:
    """SHA-256 over paths and sizes of all files below a folder: what 70,000 photos are known by without being read."""
    files = [path for path in files_below(folder) if path.is_file()]  # no dangling links
    lines = sorted(f"{path.relative_to(folder).as_posix()} {path.stat().st_size}\n" for path in files)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def walk(folder: Path) -> Iterator[tuple[Path, list[str]]]:
    """(folder, names of its files) of a folder and all below it, without what is left out.

    Links are followed, each folder once, so that a loop ends.
    """
    seen: set[str] = set()
    for place, folders, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(place)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = [name for name in folders if not is_left_out(name)]
        yield Path(place), [name for name in names if not is_left_out(name)]


def people_in(folder: Path, echo: Echo = print) -> dict[str, list[Path]]:
    """Name -> pictures of every person of a folder: a picture (its name without suffix), or a folder of pictures.

    Says how many hidden and system files are left out.
    """
    found: dict[str, list[Path]] = {}
    for name, path, pictures in _entries(folder):
        if name in found:
            raise ValueError(
                f"{folder} has more than one person called {name!r} ({path.name} is the second): rename one, or make "
                "it one folder"
            )
        found[name] = pictures
    tell_left_out(folder, echo)
    return found


def pictures_of(folder: Path, person: str) -> list[Path]:
    """The pictures of one person of a folder, [] without any. ValueError if the folder has two of that name."""
    own = [(path, pictures) for name, path, pictures in _entries(folder) if name == plain_name(person)]
    if len(own) > 1:
        raise ValueError(
            f"{folder} has more than one person called {person!r} ({', '.join(path.name for path, _ in own)}): rename "
            "one, or make it one folder"
        )
    return own[0][1] if own else []


def _entries(folder: Path) -> Iterator[tuple[str, Path, list[Path]]]:
    """(name, where it stands, pictures) of everybody; only a file has a suffix, `J.Doe` is a whole name."""
    for path in sorted(folder.iterdir(), key=_by_name):
        if is_left_out(path.name):
            continue
        pictures = pictures_in(path) if path.is_dir() else [path] if is_picture(path) else []
        if pictures:
            yield plain_name(path.name if path.is_dir() else path.stem), path, pictures


def tell_left_out(folder: Path, echo: Echo = print) -> None:
    """Say how many hidden and system folders, and files with a picture's suffix, lie below a folder, if any do."""
    names: list[str] = []
    for place, folders, files in os.walk(folder):
        suspects = [*folders, *(name for name in files if name.lower().endswith(SUFFIXES))]
        names += [os.path.relpath(os.path.join(place, name), folder) for name in suspects if is_left_out(name)]
        folders[:] = [name for name in folders if not is_left_out(name)]
    if names:
        shown = ", ".join(sorted(names)[:SHOWN]) + (", ..." if len(names) > SHOWN else "")
        echo(f"{len(names)} hidden or system files and folders in {folder} are left out: {shown}")


def as_written(path: Path) -> Path:
    """The path under which a file lies: `path` itself, or the same one in another Unicode form (NFC, NFD)."""
    if path.exists() or path.parent == path:
        return path
    folder = as_written(path.parent)
    if not folder.is_dir():
        return path
    wanted = plain_name(path.name)
    return next((other for other in folder.iterdir() if plain_name(other.name) == wanted), path)


def _by_name(path: Path) -> str:
    return plain_name(path.name)


def within(folder: Path, file: Path) -> bool:
    """Whether a file lies below a folder, links followed; a link to itself lies where it lies."""
    return Path(os.path.realpath(file)).is_relative_to(os.path.realpath(folder))
