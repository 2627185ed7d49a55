"""Masks of a subject: a fixed box, somebody's drawing, and the largest face that a detector finds."""

from pathlib import Path

import numpy as np
import pytest
import torch
from made_detector import SIDE, write_detector
from PIL import Image

from src.data.masks import drawn_mask, face_mask, fixed_box


def test_the_fixed_box_holds_a_portrait():
    box = fixed_box(torch.zeros(1, 3, 64, 80), "anna", [])[0]
    assert box.shape == (1, 64, 80)
    assert box[0, 63, 40] == 1
    assert box[0, 4].sum() == 0
    assert 0.5 < box.mean() < 0.8


def test_masks_are_drawn_one_for_each_photo(tmp_path):
    masks = tmp_path / "masks"
    (masks / "bea").mkdir(parents=True)
    white_below = np.zeros((40, 40), dtype=np.uint8)
    white_below[20:] = 255
    for name in ("1.png", "2.png"):
        Image.fromarray(white_below).save(masks / "bea" / name)
    photos = torch.zeros(2, 3, 16, 16)
    drawn = drawn_mask(photos, "bea", [], folder=masks)
    assert drawn.shape == (2, 1, 16, 16)
    assert torch.equal(drawn[:, :, :7], torch.zeros(2, 1, 7, 16)) and torch.equal(
        drawn[:, :, 9:], torch.ones(2, 1, 7, 16)
    )
    with pytest.raises(FileNotFoundError, match=r"1 photos: draw each, white on the subject, as .*ada\.png"):
        drawn_mask(photos[:1], "ada", [], folder=masks)


def test_the_mask_holds_the_face_with_a_margin_and_all_below(tmp_path: Path) -> None:
    detector = write_detector(tmp_path / "detector.onnx")
    bright, dark = torch.full((3, SIDE, SIDE), 0.9), torch.full((3, SIDE, SIDE), -0.9)
    masks = face_mask(torch.stack([bright, bright]), "ada", [], detector=str(detector))
    assert masks.shape == (2, 1, SIDE, SIDE) and torch.equal(masks[0], masks[1])
    columns = masks[0, 0].any(0).nonzero().flatten()
    assert (columns.min(), columns.max() + 1) == (0, 120)  # OneFace's box is 80 pixels wide, and half of it as a margin
    assert masks[0, 0, -1, 0] == 1
    with pytest.raises(
        ValueError, match=r"insightface detector .*detector\.onnx found no face in photo 1 of ada.*file"
    ):
        face_mask(torch.stack([bright, dark]), "ada", [], detector=str(detector))
    with pytest.raises(FileNotFoundError, match=r"det\.onnx is missing: get insightface's pack buffalo_l"):
        face_mask(bright[None], "ada", [], detector=str(tmp_path / "det.onnx"))
