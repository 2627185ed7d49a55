"""Where the subject of a portrait is, found by an insightface detector: masks for augmentation."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

MARGIN = 0.5  # of the face's size, for hair and shoulders


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
        left, top, right, _ = _grown(max(boxes[:, :4], key=lambda box: (box[2] - box[0]) * (box[3] - box[1])))
        masks[number, :, max(0, top) :, max(0, left) : max(0, right)] = 1
    return masks


def _grown(box: np.ndarray) -> tuple[int, int, int, int]:
    """(left, top, right, bottom) in pixels with the margin on every side."""
    across, down = MARGIN * (box[2] - box[0]), MARGIN * (box[3] - box[1])
    return int(box[0] - across), int(box[1] - down), int(box[2] + across), int(box[3] + down)
