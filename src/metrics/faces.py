"""What identity judges that find faces themselves have in common: the largest face of each picture, and how many."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

Detect = Callable[[Tensor], list[tuple[float, Tensor]]]  # uint8 [3, H, W] -> (area, aligned crop) of each face


def crops_of(pictures: Sequence[Tensor], detect: Detect) -> tuple[list[Tensor], Tensor]:
    """Pictures uint8 [3, H, W] -> the crops of the largest faces of those that have one; faces in each picture [N]."""
    every = [detect(picture) for picture in pictures]
    largest = [max(faces, key=lambda face: face[0])[1] for faces in every if faces]
    return largest, torch.tensor([len(faces) for faces in every], dtype=torch.int)


def seen_of(count: int, faces: Tensor, embed: Callable[[], Tensor]) -> tuple[Tensor, Tensor]:
    """(vectors [count, D], faces [count]): `embed` gives those of the pictures with a face, in order; nan elsewhere."""
    if not faces.any():
        return torch.full((count, 1), torch.nan), faces
    known = embed()
    vectors = torch.full((count, known.shape[1]), torch.nan)
    vectors[faces > 0] = known
    return vectors, faces


def refuse_faceless(judge: str, photos: Sequence[str]) -> None:
    """ValueError names the reference photos in which a judge finds no face to compare with, if there are any."""
    if photos:
        names = ", ".join(dict.fromkeys(photos))
        raise ValueError(f"{judge} finds no face in the photo(s) {names}: give others, or leave this judge out")


def look_at_photos(
    judges: Sequence[Any], photos: Mapping[str, Tensor], compared: Collection[str] | None = None
) -> list[str]:
    """What identity judges find in reference photos, name -> uint8 [3, H, W], before anything is learned from them.

    Returns what is to be said: several faces, or none. compared: the photos that images are compared with, None: all.
    ValueError names those of them that show a judge no face.
    """
    notes: list[str] = []
    for judge in judges if photos else ():
        vectors, faces = judge.see(list(photos.values()))
        judge.release()
        nothing = dict(zip(photos, vectors.isnan().any(-1).tolist(), strict=True))
        refuse_faceless(judge.name, [n for n in photos if nothing[n] and (compared is None or n in compared)])
        notes += face_notes(judge.name, dict(zip(photos, faces.tolist(), strict=True)))
    return notes


def face_notes(judge: str, faces: Mapping[str, int]) -> list[str]:
    """What is to be said of a judge's numbers of faces in reference photos: every number but one."""
    said = {0: "no face in {}: it is compared as it is, if at all", 1: ""}
    lines = {name: said.get(int(n), f"{int(n)} faces in {{}}: the largest is taken") for name, n in faces.items()}
    return [f"{judge} finds {line.format(name)}" for name, line in lines.items() if line]
