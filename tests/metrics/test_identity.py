"""Identity judges: any ONNX recogniser that insightface loads, with our mean, std and order of colours."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from src.metrics.identity import Identity


def plain(red: float, green: float, blue: float, side: int = 64) -> Tensor:
    """One image of one colour, channels in [-1, 1]."""
    return torch.tensor([red, green, blue]).view(1, 3, 1, 1).expand(1, 3, side, side).contiguous()


def test_the_net_gets_red_green_blue_scaled_by_mean_and_std(nets: Path) -> None:
    judge = Identity(name="mean", model=str(nets / "mean.onnx"))
    colour = torch.tensor([[0.6, -0.2, 0.3]])
    wanted = torch.nn.functional.normalize(colour, dim=-1)
    torch.testing.assert_close(judge.embed(plain(0.6, -0.2, 0.3)), wanted, atol=1e-4, rtol=0)
    other = Identity(name="mean", model=str(nets / "mean.onnx"), input_mean=0.0, input_std=1.0)
    raw = torch.nn.functional.normalize((colour + 1) * 127.5, dim=-1)
    torch.testing.assert_close(other.embed(plain(0.6, -0.2, 0.3)), raw, atol=1e-4, rtol=0)


def test_the_order_of_colours_matters(nets: Path) -> None:
    judge = Identity(name="random", model=str(nets / "random.onnx"))
    image = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1)) * 2 - 1
    assert (judge.compare(judge.embed(image), judge.embed(image.flip(1))) < 0.999).all()


def test_an_image_is_its_own_likeness_and_cosines_are_bounded(nets: Path) -> None:
    judge = Identity(name="random", model=str(nets / "random.onnx"))
    images = torch.rand(5, 3, 64, 64, generator=torch.Generator().manual_seed(2)) * 2 - 1
    vectors = judge.embed(images)
    torch.testing.assert_close(judge.compare(vectors, vectors), torch.ones(5))
    torch.testing.assert_close(vectors.norm(dim=-1), torch.ones(5))
    assert (judge.compare(vectors, vectors.roll(1, 0)).abs() <= 1 + 1e-6).all()


def test_an_embedding_does_not_depend_on_the_batch(nets: Path) -> None:
    judge = Identity(name="random", model=str(nets / "random.onnx"))
    images = torch.rand(3, 3, 64, 64, generator=torch.Generator().manual_seed(3)) * 2 - 1
    torch.testing.assert_close(judge.embed(images)[1:2], judge.embed(images[1:2]), atol=1e-5, rtol=0)


def test_a_face_is_present_where_the_presence_net_is_positive(nets: Path) -> None:
    judge = Identity(name="random", model=str(nets / "random.onnx"), presence=str(nets / "presence.onnx"))
    images = torch.cat([plain(0.5, 0.5, 0.5), plain(-0.5, -0.5, -0.5), plain(0.1, 0.1, 0.1)])
    assert judge.present(images).tolist() == [True, False, True]
    assert Identity(name="random", model=str(nets / "random.onnx")).present(images).all()


def test_missing_and_damaged_files_are_named(nets: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"nobody\.onnx"):
        Identity(name="x", model=str(tmp_path / "nobody.onnx"))
    with pytest.raises(FileNotFoundError, match=r"nothing\.onnx"):
        Identity(name="x", model=str(nets / "random.onnx"), presence=str(tmp_path / "nothing.onnx"))
    damaged = tmp_path / "damaged.onnx"
    damaged.write_bytes((nets / "random.onnx").read_bytes()[:500])
    with pytest.raises(ValueError, match=r"damaged\.onnx"):
        Identity(name="x", model=str(damaged)).embed(plain(0, 0, 0))
    damaged.write_text("not a net")
    with pytest.raises(ValueError, match=r"damaged\.onnx"):
        Identity(name="x", model=str(damaged)).embed(plain(0, 0, 0))
