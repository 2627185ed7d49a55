"""What identity judges that find faces themselves have in common: the largest face of each picture, and how many."""

from __future__ import annotations

from collections.abc import Callable, Sequence

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
