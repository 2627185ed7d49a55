"""A method is one file in src/methods/ and one in conf/method/: a toy, a constant word that somebody is, is enough."""

import re
from pathlib import Path

import pytest

import src.methods
from src import ablate, personalise
from src.files.sheets import read_sheet

PHOTO = Path(src.__file__).parent / "tiny_world" / "examples" / "person-300000.png"
QUICK = ["sampler.steps=2", "logger.mode=disabled"]
HEAD = """
from dataclasses import dataclass
import torch
from safetensors.torch import load_file, save_file
from src.methods.drawing import Person, Sampler
from src.models.personal import PersonalNoise
"""
TOY = """
@dataclass(frozen=True)
class Toy:
    trained, drawing, memory, learns = (), (), "", True
    sampler: Sampler
    brightness: float = 1.0
    def check(self, base, prompts, photos):
        if self.sampler.gamma < 0.1: raise ValueError(f"sampler.gamma ({self.sampler.gamma}) is too small for toy")
    def learn(self, base, photos, keep, variants=None, people=None):
        word = torch.full((1, base.text_encoder.config.hidden_size), self.brightness * photos.mean())
        keep.exists() or save_file({"word": word}, keep)
        return Person(base, PersonalNoise(base, words=[load_file(keep)["word"]]), self.sampler)
"""
YAML = "_target_: src.methods.toy.Toy\n_partial_: true\nbrightness: 1.0\n"
pytestmark = pytest.mark.weights


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """The words that choose it; a package that has a further folder stands for a further file in the package's own."""
    (tmp_path / "methods").mkdir()
    (tmp_path / "methods" / "toy.py").write_text(HEAD + TOY)
    (tmp_path / "conf" / "method").mkdir(parents=True)
    (tmp_path / "conf" / "method" / "toy.yaml").write_text(YAML)
    monkeypatch.setattr(src.methods, "__path__", [*src.methods.__path__, str(tmp_path / "methods")])
    return ["method=toy", f"hydra.searchpath=[file://{tmp_path / 'conf'}]"]


def test_ablate_and_personalise_learn_and_draw_with_a_method_of_ten_lines(toy, typed, tmp_path):
    small = [*toy, *QUICK, "people=1", "prompts=1", "seeds=1"]
    status, printed, complaint = typed(ablate, "ablation=no_fusion", *small)
    assert status == 0, complaint
    assert "full 10, no_fusion 6" in printed
    table = read_sheet(tmp_path / re.search(r"table: (\S+)", printed)[1].replace("table.md", "table.csv"))
    assert table
    (learned,) = (tmp_path / "runs" / "people").glob("*/*.safetensors")
    first = learned.stat().st_mtime_ns
    status, _, complaint = typed(ablate, "ablation=no_refinement", *small)
    assert status == 0, complaint
    assert learned.stat().st_mtime_ns == first  # no other sampler learns anew
    assert typed(ablate, "ablation=no_fusion", *small, "method.brightness=0.5")[0] == 0
    assert len(list((tmp_path / "runs" / "people").glob("*/*.safetensors"))) == 2
    assert len(list((tmp_path / "runs" / "generic").iterdir())) == 1
    status, _, complaint = typed(personalise, *toy, *QUICK, f"photo={PHOTO}", "seeds=1")
    assert status == 0, complaint


def test_a_sampler_that_a_method_cannot_use_is_named_before_anything_is_written(toy, typed, tmp_path):
    status, _, complaint = typed(ablate, *toy, *QUICK, "people=1", "prompts=1", "seeds=1", "sampler.gamma=0.05")
    assert status == 1 and "sampler.gamma (0.05) is too small for toy" in complaint
    assert not (tmp_path / "runs").exists()


def test_a_method_that_does_not_say_what_it_takes_is_named(toy, typed):
    status, printed, complaint = typed(ablate, *toy, "preflight_only=true")
    assert status == 0, complaint
    assert "unknown: Toy does not say what it takes" in printed
