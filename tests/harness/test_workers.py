"""Studies in parallel: workers change no byte, end with their command, and are refused where there is nothing for
them."""

import os
import signal
import subprocess
import sys
import time
from multiprocessing import active_children
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from safetensors.torch import load_file

from src import ablate
from src.files.whole import read_json
from src.harness.compose import CONF
from src.harness.device import memory, threads
from src.harness.parallel.places import places_of
from src.harness.parallel.progress import Estimate, Progress

ROOT = Path(__file__).parents[2]
SMALL = ["people=2", "prompts=2", "seeds=1", "sampler.steps=2", "logger.mode=disabled", "device=cpu"]
QUICK = ["method.finetune.steps=2", "method.finetune.batch=2"]


@pytest.mark.weights
def test_workers_change_no_byte_of_who_is_learned_drawn_and_compared(monkeypatch, tmp_path):
    alone, shared = tmp_path / "alone", tmp_path / "shared"
    for folder, workers in ((alone, "workers=1"), (shared, "workers=2")):
        monkeypatch.setattr(sys, "argv", ["ablate", *SMALL, *QUICK, "ablation=no_fusion", workers, f"runs={folder}"])
        ablate.main()
    assert not active_children()
    learned = [sorted(folder.glob("people/*/*.safetensors")) for folder in (alone, shared)]
    assert [path.name for path in learned[0]] == [path.name for path in learned[1]]
    for one, other in zip(*learned, strict=True):  # the order in a file's header is another every time
        weights, others = load_file(one), load_file(other)
        assert weights.keys() == others.keys()
        assert all(torch.equal(weights[name], others[name]) for name in weights)
    for pattern in ("*/*/images/*.png", "*/*/photos/*.png", "*/*/scores.csv", "*/*/table.*", "ablate/*/grid.png"):
        assert made(alone, pattern)
        assert made(alone, pattern) == made(shared, pattern), pattern
    assert [read_json(path)["unet_evaluations"] for path in shared.glob("full/*/summary.json")] == [10]
    costs = [read_json(path) for path in shared.glob("people/*/*.json")]
    assert len(costs) == 2
    assert all(each["seconds"] > 0 and each["peak_bytes"] > 0 for each in costs)


def made(folder: Path, pattern: str) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.glob(pattern))}


def started(folder: Path, *words: str) -> subprocess.Popen:
    """`python -m src.ablate`, the first of a process group."""
    command = [sys.executable, "-m", "src.ablate", "ablation=no_fusion", *words, f"runs={folder}"]
    how = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "start_new_session": True}
    return subprocess.Popen(command, cwd=ROOT, **how)


def children(pid: int) -> set[int]:
    """All processes that this one started and that are still there."""
    own = {int(c) for task in Path(f"/proc/{pid}/task").glob("*/children") for c in task.read_text().split()}
    return own | {each for child in own for each in children(child)}


def begun(folder: Path, child: subprocess.Popen, pattern: str) -> set[int]:
    """Wait until a file of this pattern is there; the command's processes."""
    while not any(folder.glob(pattern)):
        assert child.poll() is None, child.communicate()[0]
        time.sleep(0.02)
    return children(child.pid)


def wait_for(gone: set[int]) -> None:
    for _ in range(500):
        if not any(Path(f"/proc/{pid}").exists() for pid in gone):
            return
        time.sleep(0.02)
    pytest.fail(f"still there: {gone}")


LONG = ["method.finetune.steps=100000", "workers=2"]
LEARNING = "people/*/*.lock"  # held by a worker
DRAWN, STEPS = "full/*/images/*.png", "sampler.steps=40"
LOADING = "full/*/photos/*.png"  # workers read their libraries
linux = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs Linux to see a process's children")


@linux
@pytest.mark.weights
@pytest.mark.parametrize(
    ("number", "status", "group", "pattern", "words"),
    [
        (signal.SIGINT, 130, True, LEARNING, LONG),
        pytest.param(signal.SIGTERM, 143, True, LEARNING, LONG, marks=pytest.mark.slow),
        pytest.param(signal.SIGTERM, 143, False, DRAWN, [*QUICK, "workers=2", STEPS], marks=pytest.mark.slow),
        pytest.param(signal.SIGINT, 130, True, LOADING, LONG, marks=pytest.mark.slow),
    ],
)
def test_a_stopped_command_leaves_no_worker_and_what_was_drawn(tmp_path, number, status, group, pattern, words):
    child = started(tmp_path, *SMALL, *words)
    processes = begun(tmp_path, child, pattern)
    (os.killpg if group else os.kill)(child.pid, number)
    said = child.communicate(timeout=60)[0]
    assert child.returncode == status, said
    assert said.splitlines()[-1].startswith(f"{number.name}: stopped; every person who was learned"), said
    assert "Traceback" not in said
    wait_for(processes)
    assert not list(tmp_path.rglob(".*.tmp"))
    if pattern == DRAWN:
        assert len(list(tmp_path.glob("people/*/*.safetensors"))) >= 1


@linux
@pytest.mark.slow
@pytest.mark.weights
@pytest.mark.parametrize("whose", ["a worker", "the command"])
def test_a_process_that_is_killed_takes_the_others_along(tmp_path, whose):
    child = started(tmp_path, *SMALL, *LONG)
    processes = begun(tmp_path, child, LEARNING)
    locks = [path.read_text() for path in tmp_path.glob(LEARNING)]
    worker = next(pid for pid in processes if any(f"process {pid} " in lock for lock in locks))
    os.kill(worker if whose == "a worker" else child.pid, signal.SIGKILL)
    said = child.communicate(timeout=60)[0]
    wait_for(processes)
    if whose == "a worker":
        assert child.returncode == 1
        assert "error: a worker was ended by SIGKILL" in said.splitlines()[-1]
        assert "workers=1" in said and "Traceback" not in said


@pytest.mark.weights
def test_an_error_in_a_worker_ends_the_command_in_its_sentence(typed):
    status, _, complaint = typed(ablate, *SMALL, "workers=2", *QUICK, "method.finetune.lr=1e30", "ablation=no_fusion")
    assert status == 1
    assert complaint.startswith("error: the ") and "not finite" in complaint
    assert not active_children()


@pytest.mark.parametrize(
    ("words", "number"),
    [
        (["people=9"], 4),
        (["people=3"], 3),
        (["people=1"], 1),
        (["people=9", "threads=2"], 2),
        (["people=9", "threads=5"], 1),
        (["people=9", "workers=7"], 7),
        (["people=9", "workers=1", "threads=4"], 1),
    ],
)
def test_as_many_workers_as_there_are_threads_and_people(words, number):
    with threads(4):
        assert places_of(settings("device=cpu", *words)) == ["cpu"] * number


def test_no_more_workers_than_there_is_memory_for():
    here = memory(torch.device("cpu"))
    with threads(64):
        assert len(places_of(settings("device=cpu", "people=500"), each=here // 5)) in (2, 3)
        assert len(places_of(settings("device=cpu", "people=500"), each=2 * here)) == 1


def test_more_workers_than_people_are_refused():
    with pytest.raises(ValueError, match=r"workers \(3\) must be auto, or .* people \(2\)"):
        places_of(settings("device=cpu", "people=2", "workers=3"))


def settings(*words: str):
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("ablate", list(words))


def test_what_remains_is_what_is_left_at_the_pace_so_far(tmp_path, capsys):
    kept = {tmp_path / f"{person}.safetensors": 100 for person in "ab"}
    progress = Progress(workers=2)
    progress.expect("full", Estimate(4, 10, kept))
    progress.expect("half", Estimate(4, 5, kept))
    progress.expect("copy", Estimate(4))
    with progress.side("full", 4):
        progress.found(0)
        assert progress.remaining() is None
        (tmp_path / "a.safetensors").touch()
        progress.drew("a", 2, seconds=40.0, learning=30.0)
        # one person of 30 s, two images of 20 s, and four of half as many evaluations, by two workers
        assert progress.remaining() == pytest.approx((30 + 2 * 20 + 4 * 10) / 2)
        (tmp_path / "b.safetensors").touch()
        progress.drew("b", 2, seconds=40.0, learning=30.0)
        progress.judged(4, seconds=2.0)
        assert progress.remaining() == pytest.approx(4 * 10 / 2 + 8 * 0.5)
    with progress.side("half", 4):
        progress.drew("a", 4, seconds=40.0, learning=0.1)
        progress.judged(4, seconds=2.0)
    with progress.side("copy", 4):  # found complete
        pass
    assert progress.remaining() == 0
    last = capsys.readouterr().err.splitlines()[-1]
    assert "12/12 images" in last and "00:00 left" in last
