"""Evaluation photos of real people: a folder of the user's, with a note that says that they agreed."""

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from src.data.photos import read_photos
from src.files.folders import people_in, pictures_of

CONSENT = "CONSENT.txt"


def people(folder: str | Path) -> list[str]:
    """The people of a folder by name: each is one photo (its name without suffix), or a folder of photos (its name).

    Hidden and system files are left out (`src.files.folders`), and that is said. Raises FileNotFoundError for a folder
    without people or without the note, ValueError for an empty note and for two people of one name.
    """
    folder = Path(folder)
    note = folder / CONSENT
    if not note.is_file():
        raise FileNotFoundError(f"{note} is missing: write into it who is shown, and that and when they agreed to this")
    if not note.read_text(encoding="utf-8").strip():
        raise ValueError(f"{note} is empty: write into it who is shown, and that and when they agreed to this")
    names = sorted(people_in(folder))
    if not names:
        raise FileNotFoundError(f"no people in {folder}: put a photo, or a folder of photos, of each person there")
    return names


def reference(person: str, prompts: Sequence[str], *, folder: str | Path, size: int) -> Tensor:
    """The photos [P, 3, size, size] in [-1, 1] of a person of the folder.

    prompts: of the study; that the photos show nothing of what they ask for is up to whoever chose them.
    """
    photos = pictures_of(Path(folder), person)
    if not photos:
        raise FileNotFoundError(f"there is no person {person!r} in {folder}")
    return read_photos(photos, size)
