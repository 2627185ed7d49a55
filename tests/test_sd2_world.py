"""The paper's world with a small random base in place of the weights: an ablation on a user's own photos."""

import re
import sys

import numpy as np
import pytest
from PIL import Image

from src import ablate
from src.models.base import load_base
from src.models.promptnet import PromptNet
from tests.conftest import write_base


@pytest.fixture
def world(tmp_path):
    """Overrides that put small things in the places of weights and photos."""
    folder = write_base(tmp_path / "base")
    base = load_base(folder)
    (folder / "vocabulary.txt").unlink()
    net = PromptNet.from_unet(base.unet, vision_width=48, text_width=32, pseudo_channels=4)
    net.save(tmp_path / "promptnet")
    (tmp_path / "people").mkdir()
    for name in ("ada", "bea", "cleo"):
        pixels = np.random.default_rng(len(name)).integers(0, 255, (70, 70, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "people" / f"{name}.jpg")
    values = [f"base.folder_or_hub_id={folder}", "base.image_encoder=null", "base.dtype=float32", "data.train.size=64"]
    values += [f"world.promptnet={tmp_path / 'promptnet'}", f"people_set.folder={tmp_path / 'people'}"]
    values += ["prompt_set.after=[S* in the snow]", "prompt_set.before=[a pencil sketch of S*]"]
    values += ["people=2", "prompts=2", "seeds=1", "sampler.steps=2", "method.finetune.steps=1", "logger=disabled"]
    return ["world=sd2", "ablation=no_fusion", f"runs={tmp_path / 'runs'}", *values]


def typed(monkeypatch, overrides):
    monkeypatch.setattr(sys, "argv", ["ablate", *overrides])
    ablate.main()


def test_an_ablation_needs_nothing_but_weights_and_photos(world, monkeypatch, capsys, tmp_path):
    with pytest.raises(SystemExit, match=r"CONSENT\.txt is missing: write into it who is shown"):
        typed(monkeypatch, world)
    (tmp_path / "people" / "CONSENT.txt").write_text("All three agreed.")
    typed(monkeypatch, world)
    printed = capsys.readouterr().out
    assert "no judge scored these images" in printed
    assert "full 10, no_fusion 6" in printed  # U-Net evaluations of two steps
    assert re.search(r"grid: +\S+grid\.png", printed)


def test_a_person_is_learned_anew_from_another_photo(world, monkeypatch, tmp_path):
    people = tmp_path / "people"
    (people / "CONSENT.txt").write_text("All three agreed.")
    typed(monkeypatch, world)
    (people / "ada.jpg").write_bytes((people / "cleo.jpg").read_bytes())
    typed(monkeypatch, world)
    first, second = (path.read_bytes() for path in (tmp_path / "runs" / "people").glob("*/ada.safetensors"))
    assert first != second


def test_missing_weights_and_photos_are_all_named_at_once(world, monkeypatch):
    absent = ["people_set.folder=nowhere", "base.folder_or_hub_id=nobody/nothing", "world.promptnet=nowhere_either"]
    with pytest.raises(SystemExit) as stop:
        typed(monkeypatch, [*world, *absent])
    for word in ("lacks 3", "CONSENT.txt", "`hf download nobody/nothing`", "world.promptnet=FOLDER"):
        assert word in str(stop.value)


def test_the_inpainting_weights_are_needed_where_augmentation_is_asked_for(world, monkeypatch):
    with pytest.raises(SystemExit) as stop:
        typed(monkeypatch, [*world, "ablation=with_augmentation", "people_set.folder=nowhere"])
    for word in ("lacks 2", "inpainting weights", "`hf download sd2-community/stable-diffusion-2-inpainting`"):
        assert word in str(stop.value)
    with pytest.raises(SystemExit, match="lacks 1: evaluation photos"):
        typed(monkeypatch, [*world, "people_set.folder=nowhere"])
