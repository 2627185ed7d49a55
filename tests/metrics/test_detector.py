"""Recognisers behind an insightface detector: the face is cut out along its landmarks before it is looked at."""

from pathlib import Path

import numpy as np
import pytest
import torch
from insightface.utils.face_align import arcface_dst
from torch import Tensor, nn

from src.data.face_mask import face_mask
from src.metrics.identity import Identity

SIDE, STRIDES = 128, (8, 16, 32)


class OneFace(nn.Module):
    """The outputs of a detector in SCRFD's format that sees a face at `landmarks` in every bright picture."""

    def __init__(self, landmarks: np.ndarray):
        super().__init__()
        self.offsets = torch.from_numpy(landmarks.astype(np.float32) / STRIDES[0]).view(1, 10)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        bright = (x.mean() > -0.5).float()
        scores, boxes, points = [], [], []
        for stride in STRIDES:
            count = 2 * (SIDE // stride) ** 2
            first = (torch.arange(count) == 0).float()[:, None] * (stride == STRIDES[0])
            scores.append(0.9 * first * bright)
            boxes.append(first * torch.tensor([[0.0, 0.0, 10.0, 10.0]]))
            points.append(first * self.offsets)
        return (*scores, *boxes, *points)


@pytest.fixture(scope="module")
def detector(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("detector") / "detector.onnx"
    net = OneFace(arcface_dst / 2 + 4)  # a face half as large as ArcFace's crop, in the upper left
    torch.onnx.export(net, (torch.zeros(1, 3, SIDE, SIDE),), str(path), dynamo=False, opset_version=17)
    return path


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


def test_the_mask_holds_the_face_with_a_margin_and_all_below(detector: Path, tmp_path: Path) -> None:
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
