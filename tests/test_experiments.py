"""What the pages of `experiments/` say is what was stored, and every sampler and method is tuned as hard."""

import math
import re
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from src.reports.claims import read_result

ROOT = Path(__file__).resolve().parents[1]
EXPERIMENTS, CONF = ROOT / "experiments", ROOT / "conf"
CLAIMS = sorted(path.stem for path in (CONF / "claim").glob("*.yaml"))
SAMPLERS = ["base", "mixed", "switching", "multi_stage", "fusion"]
METHODS = ["finetune", "textual_inversion", "dreambooth", "e4t"]


@pytest.mark.parametrize("name", CLAIMS)
def test_a_page_states_the_stored_verdict(name):
    said = re.search(r"\*\*Result: ([a-z ]+)\*\*", (EXPERIMENTS / name / "README.md").read_text())
    stored = read_result(EXPERIMENTS / name / "full.json")
    assert stored is not None
    assert said is not None
    assert said[1] == stored.verdict


@pytest.mark.parametrize("name", SAMPLERS + METHODS)
def test_every_sampler_and_every_method_is_tuned_with_as_many_settings(name):
    assert math.prod(map(len, OmegaConf.load(CONF / "grid" / f"{name}.yaml").values())) == 12
