"""Where the subject of a portrait is: masks [P, 1, H, W] in [0, 1] of photos [P, 3, H, W], for augmentation."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from src.data.photos import read_photos
from src.files.folders import pictures_of

MARGIN = 0.5  # of the face's size, for hair and shoulders


def fixed_box(photos: Tensor, person: object, prompts: Sequence[str]) -> Tensor:
    """The masks [P, 1, H, W] of photos [P, 3, H, W] in which nobody is looked for: a centred portrait, from an eighth
    of the image downwards, whoever the person is and whatever is to be asked."""
    count, _, height, width = photos.shape
    mask = torch.zeros(count, 1, height, width)
    mask[..., height // 8 :, width // 8 : width - width // 8] = 1
    return mask


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


def face_mask(
    photos: Tensor, person: object, prompts: Sequence[str], *, detector: str, min_confidence: float = 0.5
) -> Tensor:
    """Masks [P, 1, H, W] of photos [P, 3, H, W] in [-1, 1]: the largest face, a margin around it, and all below it.

    detector: an insightface detector (det_10g.onnx of the pack buffalo_l, say).
    FileNotFoundError without its file; ValueError for a photo in which it finds no face.
    """
    if not Path(detector).is_file():
        raise FileNotFoundError(
            f"the face detector {detector} is missing: get insightface's pack buffalo_l, or choose another mask, "
            "mask@world.augmentation.mask=fixed_box, or file (drawn by you)"
        )
    from insightface.model_zoo import get_model

    net: Any = get_model(os.fspath(Path(detector).resolve()), providers=["CPUExecutionProvider"])
    masks = torch.zeros(len(photos), 1, *photos.shape[-2:])
    for number, photo in enumerate(photos):
        bgr = ((photo.clamp(-1, 1) + 1) * 127.5).byte().permute(1, 2, 0).cpu().numpy()[..., ::-1]
        boxes, _ = net.detect(np.ascontiguousarray(bgr), det_thresh=min_confidence)
        if not len(boxes):
            raise ValueError(
                f"the insightface detector {detector} found no face in photo {number} of {person}: choose another "
                "mask, mask@world.augmentation.mask=fixed_box, or file (drawn by you)"
            )
        left, top, right, bottom = max(boxes[:, :4], key=lambda box: (box[2] - box[0]) * (box[3] - box[1]))
        across, down = MARGIN * (right - left), MARGIN * (bottom - top)
        first, last = max(0, int(left - across)), max(0, int(right + across))
        masks[number, :, max(0, int(top - down)) :, first:last] = 1
    return masks
