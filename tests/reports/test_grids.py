"""Grids keep the pixels, refuse odd shapes and leave room for their labels."""

import numpy as np
import pytest
from PIL import Image

from src.reports.grids import GAP, contact_sheet, image_grid


def picture(value: int, size: int = 64) -> np.ndarray:
    return np.full((size, size, 3), value, np.uint8)


def test_small_pictures_are_enlarged_without_blur():
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    sheet = np.asarray(image_grid([[noise, picture(7)]]))
    assert sheet.shape == (128 + 2 * GAP, 2 * 128 + 3 * GAP, 3)
    assert np.array_equal(sheet[GAP : GAP + 128 : 2, GAP : GAP + 128 : 2], noise)
    assert (sheet[GAP : GAP + 128, 2 * GAP + 128 : -GAP] == 7).all()


def test_large_pictures_keep_their_size_and_others_fit_in(tmp_path):
    Image.new("RGB", (64, 32), (9, 9, 9)).save(tmp_path / "photo.png")
    sheet = np.asarray(image_grid([[picture(5, 256), tmp_path / "photo.png", None]]))
    assert sheet.shape == (256 + 2 * GAP, 3 * 256 + 4 * GAP, 3)
    assert (sheet[GAP + 128, 2 * GAP + 256 : 2 * GAP + 512] == 9).all()


def test_labels_are_drawn_outside_the_pictures():
    rows = [[picture(200), picture(200)], [picture(200), picture(200)]]
    bare = np.asarray(image_grid(rows))
    labelled = np.asarray(image_grid(rows, ["full", "no fusion"], ["a photo of S* at the beach", "b"]))
    top, left = labelled.shape[0] - bare.shape[0], labelled.shape[1] - bare.shape[1]
    assert top > 0
    assert left > 0
    assert np.array_equal(labelled[top:, left:], bare)
    assert (labelled[:top] < 100).any()
    assert (labelled[:, :left] < 100).any()


def test_grids_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="one length"):
        image_grid([[picture(0)], []])
    with pytest.raises(ValueError, match="2 row labels for 1 rows"):
        image_grid([[picture(0)]], ["a", "b"])
    with pytest.raises(ValueError, match="pictures"):
        contact_sheet([])


def test_contact_sheet_breaks_into_lines():
    sheet = contact_sheet([picture(0)] * 5, ["a photo of S* wearing a red hat"] * 5, columns=3)
    assert sheet.width == 3 * (128 + GAP) + GAP
    assert sheet.height > 2 * 128
