"""The benchmark of a GPU, tried out on the CPU: parts, what is kept of them, and what becomes of one that fails."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from src import bench
from src.benchmarks.clock import TimeIsUp, at_most, flops_of, peak_flops
from src.benchmarks.gpu import PARTS
from src.benchmarks.report import goals, page, read
from src.benchmarks.scale import calls_of
from src.harness.build import build
from src.harness.compose import CONF, compose

SMALL = [
    "device=cpu",
    "base=tiny",
    "compile=false",
    "steps=2",
    "fewer=[5,1]",
    "batches=[1]",
    "embedded.sampler.steps=2",
]
SMALL += ["embedded.finetune.steps=1", "embedded.finetune.batch=1", "embedded.seeds=[0]", "pretrain.steps=1"]
SMALL += ["pretrain.tries=[{cached: true, gradient_checkpointing: true, batch: 1}]"]


def test_without_a_gpu_it_says_so_in_one_sentence(typed, tmp_path):
    if torch.cuda.is_available():
        pytest.skip("there is one here")
    status, out, complaint = typed(bench, "gpu", f"out={tmp_path}")
    assert (status, out) == (1, "")
    assert (
        complaint == "error: there is no NVIDIA GPU here, so nothing was measured; device=cpu tries the benchmark out"
    )
    assert not (tmp_path / "gpu.json").exists()


@pytest.mark.weights
def test_every_part_is_measured_and_kept(typed, tmp_path):
    status, out, _ = typed(bench, "gpu", *SMALL, f"out={tmp_path}", "only=[pretrain,finetune,sample]")
    assert status == 0
    parts = read(tmp_path)["parts"]
    assert {name: part["failure"] for name, part in parts.items()} == dict.fromkeys(
        ["pretrain", "finetune", "sample", "sample_cheaper"], ""
    )
    cheaper = [(row["sampler"], row["steps"], row["evaluations"]) for row in parts["sample_cheaper"]["rows"]]
    assert cheaper[0][:2] == ("fusion_fast", 2)
    assert cheaper[1:] == [("base, 1 steps", 1, 2), ("mixed, 1 steps", 1, 3), ("fusion, 1 steps", 1, 5)]
    assert [row["sampler"] for row in parts["sample"]["rows"]] == ["base", "mixed", "fusion"]
    assert [row["evaluations"] for row in parts["sample"]["rows"]] == [4, 6, 10]
    assert all(row["seconds_per_image"] > 0 and row["to_bare_unet"] > 0 for row in parts["sample"]["rows"])
    assert parts["pretrain"]["rows"][0]["tflop_per_image"] > 0
    written = (tmp_path / "gpu.md").read_text()
    assert "Pre-training PromptNet" in written
    assert "| fusion |" in written
    assert (tmp_path / "gpu.png").read_bytes()[:4] == b"\x89PNG"
    assert "Goals" in out


@pytest.mark.weights
def test_the_cpu_is_the_same_as_itself_with_every_judge(typed, tmp_path):
    assert typed(bench, "gpu", *SMALL, f"out={tmp_path}", "only=[same]")[0] == 0
    part = read(tmp_path)["parts"]["same"]
    bounded = {row["what"]: row["distance"] for row in part["rows"] if row["limit"] is not None}
    assert part["failure"] == ""
    assert part["notes"] == []
    assert set(bounded.values()) == {0}
    assert sum(what.startswith("scores of") for what in bounded) == 12
    half = next(row["distance"] for row in part["rows"] if "Sampling, base in bfloat16" in row["what"])
    assert 1e-4 < half < 0.5


def test_a_part_that_fails_loses_neither_the_others_nor_what_was_there(typed, tmp_path):
    words = [*SMALL, f"out={tmp_path}", "embedded.photo=nobody.png"]
    assert typed(bench, "gpu", *words, "only=[finetune]")[0] == 0
    assert typed(bench, "gpu", *words, "only=[same]")[0] == 0
    parts = read(tmp_path)["parts"]
    assert parts["same"]["failure"].startswith("FileNotFoundError: picture nobody.png")
    assert parts["finetune"]["failure"] == ""
    assert "Not all of it: FileNotFoundError" in (tmp_path / "gpu.md").read_text()


def test_a_part_ends_with_its_time(typed, tmp_path):
    assert typed(bench, "gpu", *SMALL, f"out={tmp_path}", "only=[sample]", "seconds.sample=0.001")[0] == 0
    assert read(tmp_path)["parts"]["sample"]["failure"] == "stopped after 0 s"
    with pytest.raises(TimeIsUp, match="no time was left"), at_most(-1):
        pass


def test_the_page_is_written_from_what_was_kept(typed, tmp_path):
    assert typed(bench, "gpu", f"out={tmp_path}", "only=[]")[0] == 0
    assert "not measured yet" in (tmp_path / "gpu.md").read_text()
    assert typed(bench, "gpu", f"out={tmp_path}", "only=[moon]")[2].startswith(
        "error: only (['moon']) must be a list of one of same"
    )
    stored = Path(__file__).parents[2] / "experiments" / "speed"
    assert (stored / "gpu.md").read_text() == page(read(stored), picture=(stored / "gpu.png").exists())


def test_goals_are_held_against_full_runs_alone():
    rows = [
        {"sampler": "base", "batch": 4, "steps": steps, "seconds_per_image": s} for steps, s in ((2, 0.1), (50, 0.7))
    ]
    found = {row["what"]: (row["found"], row["reached"]) for row in goals({"sample": {"rows": rows}}).rows}
    assert found["base, seconds an image, best batch"] == ("0.700", "NO")
    assert found["one person in 50 steps, seconds"] == (None, "not measured")


def test_operations_are_counted_and_cards_known():
    a, b = torch.zeros(3, 5), torch.zeros(5, 7)
    assert flops_of(lambda: a @ b) == 2 * 3 * 5 * 7
    assert peak_flops("NVIDIA H100 80GB HBM3") == 989.4e12
    assert peak_flops("NVIDIA H100 PCIe") == 756e12
    assert peak_flops("NVIDIA A100-SXM4-80GB") == 312e12
    assert peak_flops("NVIDIA L40S") == 362e12
    assert peak_flops("NVIDIA A10G") is None


def test_calls_of_a_sampler_are_those_that_it_makes():
    from hydra import initialize_config_dir

    with initialize_config_dir(str(CONF), version_base="1.3"):
        samplers = {name: build(node) for name, node in compose("bench_gpu", []).samplers.items()}
    assert {name: calls_of(each) for name, each in samplers.items()} == {
        "base": {2: 50},
        "mixed": {3: 50},
        "fusion": {2: 50, 3: 50},
    }


WITHOUT = """
import sys
from importlib.machinery import PathFinder

RARE = {"wandb", "wandb_workspaces", "litdata", "insightface", "onnxruntime", "onnx", "open_clip", "dlib", "choix"}
RARE |= {"krippendorff", "selenium", "timm"}


class Without(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if path is None and name.split(".")[0] in RARE else PathFinder.find_spec(name, path, target)


sys.meta_path[sys.meta_path.index(PathFinder)] = Without
from src.bench import main

main()
"""


@pytest.mark.slow
@pytest.mark.weights
def test_it_runs_where_rare_packages_are_not_installed(tmp_path):
    words = [*SMALL, f"out={tmp_path}", f"runs={tmp_path}"]
    done = subprocess.run([sys.executable, "-c", WITHOUT, "gpu", *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    parts = json.loads((tmp_path / "gpu.json").read_text())["parts"]
    assert {name: part["failure"] for name, part in parts.items()} == dict.fromkeys([*PARTS, "sample_cheaper"], "")
    assert "text_a (No module named 'open_clip')" in parts["same"]["notes"][0]
