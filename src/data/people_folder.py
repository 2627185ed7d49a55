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
    own = pictures_of(Path(folder), person)
    if not own:
        raise FileNotFoundError(f"there is no person {person!r} in {folder}")
    return read_photos(own, size)


def drawn_mask(photos: Tensor, person: int | str, prompts: Sequence[str], *, folder: str | Path) -> Tensor:
    """The masks [P, 1, H, W] in [0, 1] that somebody drew, white on the subject, for photos [P, 3, H, W].

    They are named like the photos: folder/PERSON.png, or folder/PERSON/*.png in the order of the photos' names.
    FileNotFoundError if one is missing.
    """
    paths = pictures_of(Path(folder), str(person))
    if len(paths) != len(photos):
        raise FileNotFoundError(
            f"{len(paths)} masks of {person} for {len(photos)} photos: draw each, white on the subject, "
            f"as {folder}/{person}.png (several photos: {folder}/{person}/*.png)"
        )
    return read_photos(paths, photos.shape[-1]).mean(1, keepdim=True) / 2 + 0.5
