"""The benchmark of samplers: what it counts, that the released code's arithmetic draws the same, and its front."""

import json

import pytest
import torch
from omegaconf import OmegaConf

from src import bench
from src.benchmarks.cost import against_released, counted, timed
from src.benchmarks.front import costs, on_front
from src.harness.compose import CONF
from src.methods.drawing import Sampler
from src.methods.profusion import ProFusion
from src.models.promptnet import PromptNet
from src.sampling import Shortcuts

PROMPTS = ["a photo of S* wearing a red hat", "a pencil sketch of S*"]
COMMON = ["people_set=tiny_validation", "prompt_set=tiny_validation", "sampler.steps=3"]
COMMON += ["method.finetune.steps=2", "method.finetune.batch=2"]
SMALL = ["people=2", "prompts=1", "steps=[3,2]", "timed=2", "repeats=1", "device=cpu"]
SMALL += [f"overrides={json.dumps(COMMON)}"]


@pytest.fixture
def drawing(tiny_base):
    """Somebody, their photo, and Fusion Sampling in three steps."""
    promptnet = PromptNet.from_unet(tiny_base.unet, vision_width=48, text_width=32, pseudo_channels=4)
    sampler = Sampler(
        steps=3,
        guidance={"fusion": 3.0, "joint": 2.0, "text": 1.5},
        joint=[{"prompt": "joint", "weight": "fusion", "faded": True}],
        separate=[{"prompt": "joint", "weight": "joint"}, {"prompt": "generic", "weight": "text"}],
        gamma=0.5,
        blend="interpolate",
    )
    photo = torch.rand(1, 3, 64, 64) * 2 - 1
    return ProFusion(promptnet, sampler).learn(tiny_base, photo), photo, sampler


def test_the_released_arithmetic_draws_the_same_by_more_evaluations(drawing):
    person, photo, sampler = drawing
    found = against_released(person, sampler, photo, PROMPTS, repeats=1)
    assert found["apart"] < 1e-4
    assert (found["unet_evaluations"], found["promptnet_evaluations"], found["text_evaluations"]) == (18, 6, 18)
    assert min(found["ours"], found["released"]) > 0
    assert (person.noise.unet_evaluations, person.noise.promptnet_evaluations, person.noise.text_evaluations) == (
        15,
        6,
        6,
    )


def test_operations_and_evaluations_of_an_image_fall_with_its_shortcuts(drawing):
    person, _, sampler = drawing
    half = Sampler(**{**vars(sampler), "shortcuts": Shortcuts(fusion_every=2, deep_every=2, word_every=3)})
    whole, fewer = (counted(person, each, PROMPTS[0]) for each in (sampler, half))
    assert (whole["unet_evaluations"], fewer["unet_evaluations"]) == (15, 13)
    assert (whole["shallow_evaluations"], fewer["shallow_evaluations"]) == (0, 3)
    assert fewer["gflop"] < whole["gflop"]
    seconds = timed(person, {"whole": sampler, "fewer": half}, PROMPTS, repeats=3)
    assert all(0 < own["fastest"] <= own["seconds"] and own["peak_gib"] > 0 for own in seconds.values())


def test_the_front_is_what_no_other_beats_in_quality_without_taking_longer():
    rows = [{"seconds": s, "text": q} for s, q in ((3.0, 0.9), (1.0, 0.5), (2.0, 0.4), (2.5, 0.8), (4.0, 0.9))]
    assert on_front(rows, "text") == [1, 3, 0]


SAMPLERS = [str(name) for name in OmegaConf.load(CONF / "bench_sample.yaml").samplers]


@pytest.mark.weights
@pytest.mark.parametrize("without", [SAMPLERS[4:], pytest.param([], marks=pytest.mark.slow)])
def test_every_sampler_is_measured_and_shown(typed, tmp_path, without):
    nulls = ",".join(f"{name}:null" for name in without)
    status, out, complaint = typed(bench, "sample", *SMALL, f"samplers={{{nulls}}}", f"out={tmp_path}")
    assert status == 0, complaint
    found = json.loads((tmp_path / "sample.json").read_text())
    rows = {row["name"]: row for row in found["rows"]}
    own = [name for name in rows if "steps" not in name]
    assert own == [name for name in SAMPLERS if name not in without]
    assert own[:4] == ["base", "mixed", "fusion", "fusion_fast"]
    assert {name: row["unet_evaluations"] for name, row in rows.items() if "steps" in name} == {
        "base, 2 steps": 4,
        "mixed, 2 steps": 6,
        "fusion, 2 steps": 10,
    }
    assert [rows[name]["unet_evaluations"] for name in ("base", "mixed", "fusion")] == [6, 9, 15]
    assert rows["fusion"]["text difference"] == rows["fusion"]["identity difference"] == 0
    assert rows["base, 2 steps"]["gflop"] < rows["base"]["gflop"] < rows["fusion"]["gflop"]
    shown = {row["sampler"]: row for row in costs(found).rows}
    assert shown["mixed"]["to mixed"] == shown["base"]["to base"] == 1
    assert shown["fusion, 2 steps"]["to mixed"] == pytest.approx(
        rows["fusion, 2 steps"]["seconds"] / rows["mixed, 2 steps"]["seconds"]
    )
    assert found["released"]["apart"] < 1e-2
    assert (tmp_path / "sample.png").read_bytes()[:4] == b"\x89PNG"
    assert "| fusion_fast |" in (tmp_path / "sample.md").read_text()
    assert "the released code's arithmetic" in out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["reference=nobody"], "error: reference (nobody) must be one of samplers: base, mixed, fusion, fusion_fast"),
        (["fewer=[base,moon]"], "error: fewer (moon) must be one of samplers: base, mixed, fusion, fusion_fast"),
        (["repeats=0"], "error: repeats (0) must be a whole number from 1"),
        (["steps=[0]"], "error: steps ([0]) must be a list of a whole number from 1"),
        (['samplers.fusion_fast=["sampler.shortcuts.fusion_every=0"]'], "sampler.shortcuts.fusion_every (0) must be"),
        (
            ['samplers.fusion_fast=["sampler.shortcuts.solver=heun"]'],
            "sampler.shortcuts.solver (heun) must be one of",
        ),
        (
            ['samplers.fusion_fast=["sampler.shortcuts.fusion_interval=[0.41,0.42]"]'],
            "sampler.shortcuts.fusion_interval ([0.41, 0.42]) holds none of the 3 timesteps",
        ),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_learned(typed, tmp_path, words, message):
    status, _, complaint = typed(bench, "sample", *SMALL, f"out={tmp_path}", *words)
    assert status == 1
    assert message in complaint
    assert not (tmp_path / "runs").exists()
    assert not (tmp_path / "sample.json").exists()
