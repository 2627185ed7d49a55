"""The pre-training command in the paper's world, with a small random base: preflight, signals, many processes."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from src import bench, train
from src.learning.checkpoints import AtomicCheckpoints, checkpoints_in
from src.models.base import load_base
from src.models.e4t import E4T
from src.models.promptnet import PromptNet
from tests.conftest import write_base
from tests.learning.test_resume import assert_same

ROOT = Path(__file__).parents[1]


@pytest.fixture
def typed(tmp_path):
    """The overrides that make ffhq_pretrain a matter of seconds."""
    base, photos = write_base(tmp_path / "base"), tmp_path / "photos"
    photos.mkdir()
    for number in range(6):
        pixels = np.random.default_rng(number).integers(0, 255, (260, 260, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(photos / f"{number}.jpg")
    values = {
        "+experiment": "ffhq_pretrain",
        "runs": tmp_path / "runs",
        "base.folder_or_hub_id": base,
        "base.image_encoder": "null",
        "base.dtype": "float32",
        "data.train.folder": photos,
        "data.train.size": 64,
        "data.total_batch": 4,
        "data.workers": 0,
        "promptnet.pseudo_channels": 4,
        "trainer": "sd2_cpu",
        "trainer.steps": 4,
        "trainer.precision": "32-true",
        "trainer.checkpoint_every": 2,
        "logger.mode": "disabled",
        "preview": "null",
    }

    def overrides(**changes):
        return [f"{name}={value}" for name, value in (values | changes).items()]

    return overrides


@pytest.fixture
def run(monkeypatch, capsys):
    def typed_in(overrides):
        monkeypatch.setattr(sys, "argv", ["train", *overrides])
        status = 0
        try:
            train.main()
        except SystemExit as stop:
            status = 0 if stop.code in (None, 0) else 1
            print(stop.code or "", file=sys.stderr)
        out, err = capsys.readouterr()
        return status, out, err.strip().splitlines()[-1] if err.strip() else ""

    return typed_in


PAPER = ["+experiment=ffhq_pretrain", "base=sd2_random", "trainer=sd2_cpu", "data.total_batch=1", "data.workers=0"]


def started(overrides, **options):
    words = [sys.executable, "-m", "src.train", *overrides]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        words, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options
    )


def last_checkpoint(runs):
    """The state in the newest checkpoint of the only run below a folder."""
    (folder,) = (runs / "train").iterdir()
    path = checkpoints_in(folder / "checkpoints")[-1]
    return AtomicCheckpoints(torch.load(path, weights_only=True)["experiment"]).load_checkpoint(path)


def test_the_papers_pretraining_runs_and_its_preflight_says_what_it_needs(typed, run, tmp_path):
    status, printed, complaint = run(typed())
    assert status == 0, complaint
    for line in (
        r"found +base weights +\S+/base",
        "found +photos +5 for training, 1 for validation",
        r"total batch 4 = 1 device\(s\) x 4 photo\(s\) x 1 accumulated",
        "found +devices +1 process",
        "found +memory +about",
        "found +disk +[0-9.]+ GiB for 1 checkpoints",
        "found +Weights & Biases +disabled",
    ):
        assert re.search(line, printed), line
    folder = re.search(r"PromptNet: (\S+)", printed)[1]
    averaged = last_checkpoint(tmp_path / "runs")["state_dict"]
    saved = {f"net.{name}": value for name, value in PromptNet.load(folder).state_dict().items()}
    assert_same(saved, {name: averaged[name] for name in saved})


def test_e4t_is_pretrained_by_the_same_command(typed, run, tmp_path):
    how = {"+experiment": "ffhq_e4t", "learning.net.width": 16, "data.total_batch": 4}
    status, printed, complaint = run(typed(**how))
    assert status == 0, complaint
    e4t = E4T.load(re.search(r"E4T: (\S+)", printed)[1])
    averaged = last_checkpoint(tmp_path / "runs")["state_dict"]
    assert_same({f"net.{name}": value for name, value in e4t.state_dict().items()}, dict(averaged))
    e4t.check(load_base(tmp_path / "base"))
    status, _, complaint = run(typed(**how, **{"learning.net.noun": "beachhat"}))
    assert status == 1 and "learning.net.noun (beachhat) is a word that this base was not trained on" in complaint
    status, _, complaint = run(typed(**how, **{"learning.penalty": -0.01}))
    assert status == 1 and "learning.penalty (-0.01) must be a number of 0 or more" in complaint


def test_a_preflight_alone_loads_and_writes_nothing(typed, run, tmp_path):
    status, printed, _ = run(typed(preflight_only="true"))
    assert status == 0
    assert "MISSING" not in printed
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"data.train.folder": "nowhere"}, ["the FFHQ photos (nowhere)", "download images1024x1024"]),
        ({"data.train.folder": "empty"}, ["photos", "no photos", "empty"]),
        ({"base.folder_or_hub_id": "sd2-community/nothing"}, ["unet: not here", "`hf download sd2-community/nothing`"]),
        ({"base.folder_or_hub_id": "half"}, ["unet", "half there or damaged", "restore half"]),
        ({"trainer.accelerator": "gpu", "trainer.devices": 64}, ["64 GPU(s) wanted", "trainer.devices="]),
        ({"trainer.accelerator": "cuda:1", "trainer.devices": 8}, ["8 GPUs wanted, and cuda:1 alone", "device=cuda"]),
        ({"data.total_batch": 5, "trainer.devices": 2}, ["data.total_batch (5)", "2 devices"]),
        ({"trainer.precision": "16-mixed"}, ["trainer.precision (16-mixed)", "bf16-mixed"]),
        ({"data.train.size": 32}, ["32x32 px", "data.train.size=64"]),
    ],
)
def test_what_is_missing_is_named_with_its_remedy(typed, run, tmp_path, monkeypatch, changes, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    weights = write_base(tmp_path / "half") / "unet" / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-10])
    status, _, complaint = run(typed(**changes))
    assert status == 1
    assert complaint.startswith("error: ")
    assert all(word in complaint for word in words), complaint


@pytest.mark.slow
@pytest.mark.parametrize("experiment", ["ffhq_pretrain", "ffhq_e4t"])
def test_two_processes_learn_what_one_does_from_the_same_total_batch(typed, run, tmp_path, experiment):
    """In float64: DDP over gloo, through Lightning's own launcher, with the run's lock held by the first process."""
    changes = {
        "+experiment": experiment,
        "base.dtype": "float64",
        "trainer.precision": "64-true",
        "trainer.checkpoint_every": 4,
    }
    changes["data.train.held_out"] = 0.34  # a validation photo for each process
    assert run(typed(runs=tmp_path / "one", **changes))[0] == 0
    child = started(typed(runs=tmp_path / "two", **changes, **{"trainer.devices": 2, "data.batch": 1}))
    said = child.communicate(timeout=120)[0].decode()
    assert child.returncode == 0, said
    assert "total batch 4 = 2 device(s) x 1 photo(s) x 2 accumulated" in said
    one, two = (last_checkpoint(tmp_path / runs)["current_model_state"] for runs in ("one", "two"))
    for name, value in one.items():
        assert value.dtype == torch.float64
        assert (value - two[name]).abs().max() <= 1e-10, name


def ended(overrides, runs, count, number):
    """Output and status of a command that gets a signal once it has written `count` checkpoints."""
    child, deadline = started(overrides), time.monotonic() + 120
    while len(list(runs.glob("train/*/checkpoints/*.ckpt"))) < count and time.monotonic() < deadline:
        time.sleep(0.05)
    child.send_signal(number)
    return child.communicate(timeout=120)[0].decode(), child.returncode


@pytest.mark.slow
def test_the_same_command_goes_on_where_it_was_killed_or_stopped(typed, tmp_path):
    changes = {"trainer.steps": 40, "trainer.checkpoint_every": 4, "trainer.keep": 40}
    broken, unbroken = tmp_path / "runs", tmp_path / "unbroken"
    assert ended(typed(**changes), broken, 1, signal.SIGKILL)[1] == -signal.SIGKILL
    said, status = ended(typed(**changes), broken, 4, signal.SIGTERM)
    assert status == 143, said
    assert re.search(r"SIGTERM: stopped after step \d+; the same command goes on from there", said)
    for runs in (broken, unbroken):
        child = started(typed(runs=runs, **changes))
        said = child.communicate(timeout=120)[0].decode()
        assert child.returncode == 0, said
    assert_same(last_checkpoint(broken), last_checkpoint(unbroken))


@pytest.mark.slow
def test_stable_diffusion_2_itself_trains_at_512_px_in_20_gigabytes(typed, tmp_path):
    """The documented command, about four minutes on two cores: the paper's architecture with random weights."""
    photos = next(value for value in typed() if value.startswith("data.train.folder="))
    child = started([*PAPER, "preview=null", photos, f"runs={tmp_path / 'runs'}", "logger=disabled"])
    said = child.stdout.read().decode()
    _, status, usage = os.wait4(child.pid, 0)
    assert status == 0, said
    assert usage.ru_maxrss * 1024 < 20e9  # bytes
    state = last_checkpoint(tmp_path / "runs")
    assert state["global_step"] == 2
    assert sum(value.numel() for name, value in state["state_dict"].items()) == 408_337_024


def test_the_benchmark_reports_every_part(typed, monkeypatch, capsys):
    values = [value for value in typed() if not value.startswith(("+experiment", "preview", "logger"))]
    monkeypatch.setattr(sys, "argv", ["bench", "train", "world=sd2", "steps=1", "cache=false", *values])
    bench.main()
    printed = capsys.readouterr().out
    for part in ("images/s", "VAE", "vision encoder", "PromptNet forward", "text encoder forward", "U-Net backward"):
        assert part in printed
    assert re.search(r"peak memory \d+\.\d+ GiB\ntraining step / bare forward and backward: \d\.\d+", printed)
