"""Image judges: any timm backbone, with its own preprocessing, never with random weights."""

from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file

from src.metrics.image_similarity import ImageSimilarity

MODEL = "test_vit.r160_in1k"


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("timm") / "model.safetensors"
    torch.manual_seed(0)
    save_file(timm.create_model(MODEL, num_classes=0).state_dict(), path)
    return path


def test_pictures_are_seen_as_timm_itself_would(weights: Path) -> None:
    judge = ImageSimilarity(name="d", model=MODEL, weights=str(weights), device="cpu")
    side = judge.net.pretrained_cfg["input_size"][1]
    picture = torch.randint(0, 256, (3, side, side), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    mean, std = (torch.tensor(judge.net.pretrained_cfg[name]).view(3, 1, 1) for name in ("mean", "std"))
    crop = judge.net.pretrained_cfg["crop_pct"]
    vectors, faces = judge.see([picture, torch.cat([picture] * 2, dim=2)])
    torch.testing.assert_close(vectors.norm(dim=-1), torch.ones(2))
    assert faces.tolist() == [1, 1]
    if crop == 1.0:
        wanted = judge.net((picture[None] / 255 - mean) / std)
        torch.testing.assert_close(vectors[:1], torch.nn.functional.normalize(wanted, dim=-1), atol=1e-4, rtol=0)


def test_missing_weights_and_unknown_models_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none\.safetensors"):
        ImageSimilarity(name="d", model=MODEL, weights=str(tmp_path / "none.safetensors"))
    with pytest.raises(ValueError, match=r"no weights 'test_vit\.moon'"):
        ImageSimilarity(name="d", model="test_vit.moon")
    with pytest.raises(ValueError, match="no model 'dinosaur'"):
        ImageSimilarity(name="d", model="dinosaur")


def test_weights_of_another_model_are_refused(weights: Path) -> None:
    judge = ImageSimilarity(name="d", model="test_resnet.r160_in1k", weights=str(weights))
    with pytest.raises(ValueError, match="image judge d"):
        judge.see([torch.zeros(3, 32, 32, dtype=torch.uint8)])
