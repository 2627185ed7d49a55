"""Whoever is learned for many steps was, on the way, whoever is learned for fewer: the very same file."""

import pytest
import torch
from safetensors.torch import load_file

from src.methods.drawing import Sampler
from src.methods.dreambooth import DreamBooth
from src.methods.method import Passing
from src.methods.textual_inversion import TextualInversion

BASE = Sampler(
    steps=2, guidance={"joint": 2.0}, joint=[], separate=[{"prompt": "joint", "weight": "joint"}], fusion_steps=0
)
METHODS = {
    "words": lambda steps: TextualInversion(BASE, steps=steps, lr=0.05, batch=2, templates=["a photo of S*", "S*"]),
    "weights": lambda steps: DreamBooth(BASE, steps=steps, lr=1e-3, prior=0.0),
    "lora": lambda steps: DreamBooth(BASE, steps=steps, lr=1e-2, prior=0.0, rank=2),
}


@pytest.mark.parametrize("name", METHODS)
def test_on_the_way_lie_those_who_are_learned_for_fewer_steps(tiny_base, name, tmp_path):
    make, photos = METHODS[name], torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    assert isinstance(make(1), Passing)
    passing = {steps: tmp_path / f"{steps}.safetensors" for steps in (1, 3)}
    make(4).learn(tiny_base, photos, tmp_path / "long.safetensors", passing=passing)
    make(4).learn(tiny_base, photos, tmp_path / "straight.safetensors")
    pairs = {"long": "straight"}
    for steps in passing:
        make(steps).learn(tiny_base, photos, tmp_path / f"alone{steps}.safetensors")
        pairs[str(steps)] = f"alone{steps}"
    kept = {file: load_file(tmp_path / f"{file}.safetensors") for pair in pairs.items() for file in pair}
    for one, two in pairs.items():
        assert kept[one].keys() == kept[two].keys()
        assert all(torch.equal(kept[one][part], kept[two][part]) for part in kept[one])
    assert any(not torch.equal(kept["1"][part], kept["3"][part]) for part in kept["1"])
