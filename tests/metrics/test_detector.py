"""Recognisers behind an insightface detector: the face is cut out along its landmarks before it is looked at."""

from pathlib import Path

import pytest
import torch
from made_detector import SIDE, write_detector
from torch import Tensor

from src.metrics.identity import Identity, Inference


@pytest.fixture(scope="module")
def detector(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_detector(tmp_path_factory.mktemp("detector") / "detector.onnx")


def picture(level: int) -> Tensor:
    """Red where the face is (4..60 pixels), blue elsewhere."""
    image = torch.zeros(3, SIDE, SIDE, dtype=torch.uint8)
    image[2] = level
    image[:, 4:60, 4:60] = torch.tensor([level, 0, 0], dtype=torch.uint8)[:, None, None]
    image[1] = image[1] + level // 2
    return image


def test_the_crop_holds_the_face_and_nothing_else(nets: Path, detector: Path) -> None:
    judge = Identity(name="m", model=str(nets / "mean.onnx"), detector=str(detector), input_mean=0.0, input_std=255.0)
    vectors, faces = judge.see([picture(255), picture(20)])
    assert faces.tolist() == [1, 0] and vectors[1].isnan().all()
    red, green, blue = vectors[0].tolist()
    assert red > 0.85 and blue < 0.1 and green == pytest.approx(red / 2, abs=0.05)


def test_a_face_that_the_detector_is_less_sure_of_is_none(nets: Path, detector: Path) -> None:
    files = {"model": str(nets / "mean.onnx"), "detector": str(detector)}  # the detector's face has 0.9
    found = [
        Identity(name="m", **files, inference=Inference(min_confidence=least)).see([picture(255)])[1].tolist()
        for least in (0.85, 0.95)
    ]
    assert found == [[1], [0]]


def test_colours_may_be_wanted_in_the_other_order(nets: Path) -> None:
    rgb, bgr = (Identity(name="m", model=str(nets / "mean.onnx"), colours=order) for order in ("rgb", "bgr"))
    image = torch.tensor([0.5, 0.1, -0.3]).view(1, 3, 1, 1).expand(1, 3, 112, 112)
    torch.testing.assert_close(bgr.embed(image), rgb.embed(image).flip(1))


def test_what_is_no_detector_is_refused(nets: Path, detector: Path) -> None:
    with pytest.raises(ValueError, match=r"random\.onnx is no detector"):
        Identity(name="x", model=str(nets / "mean.onnx"), detector=str(nets / "random.onnx")).see([picture(255)])
    with pytest.raises(ValueError, match="not both"):
        Identity(name="x", model=str(detector), detector=str(detector), presence=str(detector))
    with pytest.raises(ValueError, match=r"colours \(rbg\)"):
        Identity(name="x", model=str(detector), colours="rbg")  # type: ignore[arg-type]
