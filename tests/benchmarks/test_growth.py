"""How cost grows: what is counted follows what is asked for, and the estimate is operations over a card's peak."""

import json

import pytest
from hydra import initialize_config_dir

from src import bench
from src.benchmarks.estimate import estimated, measured, operations, peaks_of
from src.benchmarks.growth import drawing, learning, resized, rounds
from src.harness.build import build
from src.harness.compose import CONF, compose
from src.learning.finetune import Finetune
from src.methods.drawing import Sampler

SAMPLER = Sampler(
    steps=2, guidance={"joint": 2.0}, joint=[], separate=[{"prompt": "joint", "weight": "joint"}], fusion_steps=0
)
ROWS = [
    {"sampler": name, "steps": steps, "seconds_per_image": s}
    for name, steps, s in [("base", 50, 2.0), ("base", 50, 1.0), ("base", 2, 0.1), ("fusion", 50, 3.0)]
]


@pytest.fixture(scope="module")
def cfg():
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("bench_growth", ["paper.steps=2"])


@pytest.fixture
def gflop(tiny_base, cfg):
    """Operations of some work by the one sampler."""
    return lambda work: rounds(work, {"one": SAMPLER}, tiny_base.device, 1)["one"]["gflop"]


def test_operations_grow_with_the_images_and_more_than_linearly_with_their_edge(tiny_base, cfg, gflop):
    net = build(cfg.promptnet)
    one, two = (gflop(drawing(tiny_base, net, images)) for images in (1, 2))
    small, large = (gflop(drawing(tiny_base, net, 1, pixels=pixels)) for pixels in (64, 128))
    assert 1.8 * one < two < 2.05 * one  # what there is of a person is computed once for both
    assert small == one
    assert 3.5 * small < large < 8 * small


def test_every_photo_of_a_person_is_a_condition_more(tiny_base, cfg, gflop):
    net = build(cfg.promptnet)
    one, two, three = (gflop(drawing(tiny_base, net, 1, conditions=photos)) for photos in (1, 2, 3))
    assert one < two < three
    assert three - two == pytest.approx(two - one, rel=1e-3)


def test_people_cost_alike(tiny_base, cfg, gflop):
    net, finetune = build(cfg.promptnet), Finetune(steps=1, lr=1e-4, batch=1)
    one, two = (gflop(learning(tiny_base, net, finetune, people, 1)) for people in (1, 2))
    assert two == pytest.approx(2 * one, rel=1e-3)


def test_an_edge_that_the_networks_cannot_halve_is_refused(tiny_base):
    with pytest.raises(ValueError, match=r"axes.pixels \(100\) must be a multiple of"):
        resized(tiny_base, 100)


def test_another_size_leaves_the_base_as_it_is(tiny_base):
    assert resized(tiny_base, 128).latent_shape[1:] == (32, 32)
    assert tiny_base.latent_shape[1:] == (16, 16)


def test_the_estimate_is_operations_over_what_a_card_does(tmp_path, cfg):
    flop = operations(cfg.paper)
    guess = estimated(flop, peaks_of(["A100", "H100"]), 0.5, tmp_path)
    by_name = {row["sampler"]: row for row in guess["estimates"]}
    assert by_name["base"]["seconds, A100"] == pytest.approx(by_name["base"]["tflop"] / 312 / 0.5)
    evaluation = (by_name["mixed"]["tflop"] - by_name["base"]["tflop"]) / 2  # of the U-Net, one a step
    assert evaluation == pytest.approx(0.80, rel=0.02)
    assert by_name["base"]["tflop"] < by_name["mixed"]["tflop"] < by_name["fusion"]["tflop"]
    assert by_name["fusion"]["to base"] == pytest.approx(by_name["fusion"]["tflop"] / by_name["base"]["tflop"])
    assert "which is a guess" in guess["basis"]
    assert all(row["measured"] is None for row in guess["estimates"])
    found = {"about": {"card": "NVIDIA H100 80GB HBM3"}, "parts": {"sample": {"rows": ROWS}}}
    (tmp_path / "gpu.json").write_text(json.dumps(found))
    held = estimated(flop, peaks_of(["H100"]), 0.5, tmp_path)
    assert held["estimates"][0]["seconds, H100"] == pytest.approx(1.0)
    assert held["estimates"][2]["measured"] == 3.0


def test_only_whole_runs_of_a_gpu_are_believed(tmp_path):
    assert measured(tmp_path) == ("", {})
    (tmp_path / "gpu.json").write_text(json.dumps({"about": {"card": "X"}, "parts": {"sample": {"rows": ROWS}}}))
    assert measured(tmp_path) == ("X", {"base": 1.0, "fusion": 3.0})


@pytest.mark.weights
def test_the_command_leaves_its_pages(typed, tmp_path):
    axes = ["axes.pixels=[32]", "axes.images=[1]", "axes.conditions=[2]", "axes.people=[1]"]
    few = ["images=1", "steps=2", "learning_steps=1", "repeats=1", "paper.steps=2", "device=cpu", f"out={tmp_path}"]
    few += ["paper.base.text_encoder.num_hidden_layers=2", "paper.base.unet.layers_per_block=1"]
    status, _, complaint = typed(bench, "growth", *axes, *few)
    assert status == 0, complaint
    rows = json.loads((tmp_path / "growth.json").read_text())["rows"]
    assert {(row["axis"], row["size"]) for row in rows} == {
        ("pixels", 32),
        ("images", 1),
        ("conditions", 2),
        ("people", 1),
    }
    assert all(row["seconds"] > 0 and row["peak_gib"] > 0 for row in rows)
    assert "## At the paper's size" in (tmp_path / "growth.md").read_text()
    assert (tmp_path / "growth.png").read_bytes()[:4] == b"\x89PNG"


def test_a_card_that_nobody_knows_is_refused(typed, tmp_path):
    status, _, complaint = typed(bench, "growth", "cards=[Moon]", f"out={tmp_path}")
    assert (status, complaint) == (
        1,
        "error: cards (Moon) is not known: src/benchmarks/clock.py lists the peaks of others",
    )
