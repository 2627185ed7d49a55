"""deepface's recognisers as judges: the package itself, with nets of random weights where it keeps its own."""

import importlib
import importlib.util
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from src.metrics.deepface_identity import DETECTORS, RECOGNISERS, DeepfaceIdentity
from src.metrics.pictures import read_picture

needs_package = pytest.mark.skipif(not importlib.util.find_spec("deepface"), reason="no deepface here")
SIDES = {"VGG-Face": 224, "Facenet": 160, "Facenet512": 160, "OpenFace": 96, "DeepFace": 152, "ArcFace": 112}


def write_net(path: Path, *, side: int, first: bool = False, seed: int | None = None) -> None:
    """The mean of each channel, in the order in which they arrive, or with a seed random features [N, 16] of them.

    first: channels first and one image at once, as SFace has it.
    """
    half = [side // 2] * 2  # what is left is 2 x 2
    shape = [1, 3, side, side] if first else ["N", side, side, 3]
    nodes = [] if first else [helper.make_node("Transpose", ["x"], ["y"], perm=[0, 3, 1, 2])]
    nodes += [helper.make_node("AveragePool", ["x" if first else "y"], ["z"], kernel_shape=half, strides=half)]
    nodes += [helper.make_node("Flatten", ["z"], ["flat"])]
    generator = np.random.default_rng(seed)
    weight = np.kron(np.eye(3), np.ones((4, 1))) if seed is None else generator.normal(size=(12, 16))
    nodes += [helper.make_node("MatMul", ["flat", "w"], ["out"])]
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)]
    outputs = [helper.make_tensor_value_info("out", TensorProto.FLOAT, ["N", weight.shape[1]])]
    graph = helper.make_graph(
        nodes, "net", inputs, outputs, [numpy_helper.from_array(weight.astype(np.float32) / 4, "w")]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, path)


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """deepface's folder of weights; in the place of OpenCV's frontal faces, and of its eyes, scikit-image's faces."""
    monkeypatch.setenv("DEEPFACE_HOME", str(tmp_path))
    folder = tmp_path / ".deepface" / "weights"
    folder.mkdir(parents=True)
    cascade = shipped("lbpcascade_frontalface_opencv.xml").read_text().replace("featuhre", "feature")  # as it is there
    for file in DETECTORS["opencv"]:
        (folder / file).write_text(cascade)
    return folder


def shipped(file: str) -> Path:
    return Path(importlib.util.find_spec("skimage").origin).parent / "data" / file


def judge(**settings: object) -> DeepfaceIdentity:
    made = DeepfaceIdentity(name="j", **{"model": "ArcFace", **settings})
    made.release()  # of what another test had loaded
    return made


@needs_package
@pytest.mark.parametrize("model", RECOGNISERS)
def test_each_recogniser_sees_her_alone_and_no_cat(kept: Path, model: str) -> None:
    write_net(kept / RECOGNISERS[model], side=SIDES.get(model, 112), first=model == "SFace", seed=1)
    astronaut, cat = read_picture(shipped("astronaut.png")), read_picture(shipped("chelsea.png"))
    asked = judge(model=model)
    vectors, faces = asked.see([astronaut, cat, astronaut])
    assert faces.tolist() == [1, 0, 1] and vectors[1].isnan().all() and vectors.shape == (3, 16)
    torch.testing.assert_close(asked.compare(vectors[0], vectors[2]), torch.tensor(1.0))
    torch.testing.assert_close(vectors[0].norm(), torch.tensor(1.0))
    asked.release()


@needs_package
def test_a_net_gets_the_face_in_the_order_of_colours_and_the_range_that_deepface_gives(kept: Path) -> None:
    write_net(kept / RECOGNISERS["ArcFace"], side=112)
    astronaut = read_picture(shipped("astronaut.png"))
    asked = judge()
    (plain, swapped), _ = asked.see([astronaut, astronaut.flip(0)])
    face = astronaut[:, 65:164, 173:272].float().mean((1, 2)).flip(0)  # where hers is found; blue, green, red
    assert asked.compare(plain, torch.nn.functional.normalize(face, dim=-1)) > 0.9999
    assert asked.compare(plain, swapped) < 0.99
    asked.release()


@needs_package
def test_the_largest_of_several_faces_is_looked_at(kept: Path) -> None:
    write_net(kept / RECOGNISERS["Facenet"], side=160, seed=2)
    astronaut = read_picture(shipped("astronaut.png"))
    small = torch.nn.functional.interpolate(astronaut[None].float(), scale_factor=0.7).to(torch.uint8)[0]
    beside = torch.zeros(3, 512, 512 + small.shape[2], dtype=torch.uint8)
    beside[:, :, :512], beside[:, : small.shape[1], 512:] = astronaut, small
    asked = judge(model="Facenet")
    vectors, faces = asked.see([beside, astronaut])
    assert faces.tolist() == [2, 1] and asked.compare(vectors[0], vectors[1]) > 0.99
    asked.release()


@needs_package
def test_weights_are_listed_until_they_are_there_and_damaged_ones_are_named(kept: Path) -> None:
    asked = judge(model="OpenFace", detector="retinaface")
    assert [path.name for path in asked.lacking()] == ["openface_weights.onnx", "retinaface.onnx"]
    asked = judge(model="OpenFace")
    assert [path.name for path in asked.lacking()] == ["openface_weights.onnx"] and not asked.at_hand()
    (kept / "openface_weights.onnx").write_text("no net")
    assert asked.at_hand()
    with pytest.raises(ValueError, match=r"identity judge j: OpenFace cannot be loaded.*openface_weights\.onnx"):
        asked.see([read_picture(shipped("astronaut.png"))])


@needs_package
def test_the_files_are_those_that_the_package_reads() -> None:
    """What its ONNX modules fetch by default; OpenCV's cascades are named by the package, too."""
    rooms = {"DeepFace": "FbDeepFace", "VGG-Face": "VGGFace", "Facenet512": "Facenet"}
    for model, file in RECOGNISERS.items():
        module = importlib.import_module(f"deepface.models.facial_recognition.onnx.{rooms.get(model, model)}")
        urls = [value for name, value in vars(module).items() if "WEIGHTS" in name]
        assert file in {url.rpartition("/")[2] for each in urls for url in ([each] if isinstance(each, str) else each)}
    opencv = importlib.import_module("deepface.models.face_detection.OpenCv")
    assert set(DETECTORS["opencv"]) == set(opencv.HAARCASCADE_FILES.values())
    assert "tensorflow" not in sys.modules


def test_names_that_the_package_does_not_have_are_refused() -> None:
    for settings in ({"model": "VGGFace"}, {"model": "ArcFace", "detector": "mtcnn"}):
        with pytest.raises(ValueError, match=r"identity judge j: .* must be one of"):
            DeepfaceIdentity(name="j", **settings)


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "deepface", None)
    with pytest.raises(FileNotFoundError, match=r"profusion\[deepface\]"):
        DeepfaceIdentity(name="j", model="ArcFace")
