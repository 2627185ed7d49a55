"""Evaluation people of the user's: found by name, and never without a note of their consent."""

import numpy as np
import pytest
from PIL import Image

from src.data.people_folder import CONSENT, people, reference


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "bea").mkdir()
    for place, grey in (("ada.jpg", 0), ("bea/1.png", 100), ("bea/2.png", 200)):
        Image.fromarray(np.full((40, 30, 3), grey, dtype=np.uint8)).save(tmp_path / place)
    (tmp_path / "empty").mkdir()
    (tmp_path / CONSENT).write_text("Ada and Bea agreed on 3 May.\n")
    return tmp_path


def test_a_person_is_a_photo_or_a_folder_of_photos(folder):
    assert people(folder) == ["ada", "bea"]
    assert reference("ada", [], folder=folder, size=16).shape == (1, 3, 16, 16)
    both = reference("bea", ["a prompt"], folder=folder, size=16)
    assert both.mean(dim=(1, 2, 3)).tolist() == pytest.approx([100 / 127.5 - 1, 200 / 127.5 - 1], abs=0.01)


def test_without_consent_nobody_is_shown(folder):
    (folder / CONSENT).write_text(" \n")
    with pytest.raises(ValueError, match="is empty: write into it who is shown"):
        people(folder)
    (folder / CONSENT).unlink()
    with pytest.raises(FileNotFoundError, match=r"CONSENT\.txt is missing"):
        people(folder)


def test_nobody_and_two_of_one_name_are_refused(folder, tmp_path):
    with pytest.raises(FileNotFoundError, match="no person 'cleo'"):
        reference("cleo", [], folder=folder, size=16)
    Image.new("RGB", (8, 8)).save(folder / "bea.png")
    with pytest.raises(ValueError, match="more than one person called 'bea'"):
        people(folder)
    alone = tmp_path / "empty"
    (alone / CONSENT).write_text("nobody")
    with pytest.raises(FileNotFoundError, match="no people in"):
        people(alone)
