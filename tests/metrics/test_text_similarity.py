"""Text judges: any open_clip backbone, never with random weights."""

import json
from pathlib import Path

import pytest
import torch

from src.metrics.text_similarity import TextSimilarity
from src.tiny_world.judges.text import build_tokenizer, tokenize

MEAN, STD = 0.5, 0.5


@pytest.fixture(scope="module")
def judge(clip_folder: Path) -> TextSimilarity:
    return TextSimilarity(name="tiny", model=f"local-dir:{clip_folder}")


def images(count: int = 3, side: int = 32) -> torch.Tensor:
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(1)) * 2 - 1


def test_a_folder_gives_back_the_very_weights_preprocessing_and_tokens(tmp_path: Path, write_clip) -> None:
    clip = write_clip(tmp_path, seed=3)
    judge = TextSimilarity(name="tiny", model=f"local-dir:{tmp_path}")
    seen, said = images(), ["a red hat", "a person at the beach", "snow"]
    ids = tokenize(build_tokenizer(), said)
    normalised = ((seen + 1) / 2 - MEAN) / STD
    wanted = torch.cosine_similarity(clip.encode_image(normalised), clip.encode_text(ids))
    torch.testing.assert_close(judge(seen, said), wanted, atol=1e-5, rtol=0)


def test_cosines_lie_between_minus_one_and_one_and_embeddings_are_unit(judge: TextSimilarity) -> None:
    cosine = judge(images(), ["a red hat", "snow", "a red hat"])
    assert cosine.shape == (3,) and (cosine.abs() <= 1 + 1e-6).all()
    torch.testing.assert_close(judge.embed_images(images()).norm(dim=-1), torch.ones(3))
    torch.testing.assert_close(judge.embed_texts(["snow"]).norm(dim=-1), torch.ones(1))


def test_repeated_prompts_are_scored_each_with_its_own_image(judge: TextSimilarity) -> None:
    prompts = ["snow", "a red hat", "snow"]
    together = judge(images(), prompts)
    alone = torch.cat([judge(image[None], [prompt]) for image, prompt in zip(images(), prompts, strict=True)])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)


def test_other_sizes_are_resized(judge: TextSimilarity) -> None:
    large = torch.nn.functional.interpolate(images(), scale_factor=4, mode="nearest")
    cosine = torch.cosine_similarity(judge.embed_images(large), judge.embed_images(images()))
    assert (cosine > 0.98).all()


def test_every_image_needs_its_prompt(judge: TextSimilarity) -> None:
    with pytest.raises(ValueError, match="3 images but 1 prompts"):
        judge(images(), ["snow"])


def test_a_missing_folder_or_weight_file_is_named(clip_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        TextSimilarity(name="x", model=f"local-dir:{tmp_path / 'nowhere'}")
    for file in clip_folder.iterdir():
        if file.suffix != ".safetensors":
            (tmp_path / file.name).write_bytes(file.read_bytes())
    with pytest.raises(FileNotFoundError, match=r"open_clip_model\.safetensors"):
        TextSimilarity(name="x", model=f"local-dir:{tmp_path}")


def test_weights_of_another_architecture_are_refused(tmp_path: Path, write_clip) -> None:
    write_clip(tmp_path)
    config = tmp_path / "open_clip_config.json"
    config.write_text(config.read_text().replace('"patch_size": 8', '"patch_size": 16'))
    judge = TextSimilarity(name="x", model=f"local-dir:{tmp_path}")
    with pytest.raises(ValueError, match="text judge x"):
        judge.embed_images(images())


@pytest.mark.parametrize("tag", [None, "no_such_tag"])
def test_a_name_without_known_weights_is_refused(tag: str | None) -> None:
    with pytest.raises(ValueError, match="ViT-B-32 has no weights"):
        TextSimilarity(name="x", model="ViT-B-32", pretrained=tag)


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(ValueError, match="no model 'ViT-Z-1'"):
        TextSimilarity(name="x", model="ViT-Z-1", pretrained="openai")


def test_a_folder_that_wants_to_run_its_own_code_is_refused(tmp_path):
    """open_clip would hand the word on to transformers, which imports what lies beside the tokenizer."""
    text = {"hf_tokenizer_name": "own", "tokenizer_kwargs": {"trust_remote_code": True}}
    (tmp_path / "open_clip_config.json").write_text(json.dumps({"model_cfg": {"text_cfg": text}}))
    with pytest.raises(ValueError, match="trust_remote_code"):
        TextSimilarity(name="own", model=f"local-dir:{tmp_path}")
