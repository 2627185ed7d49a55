"""A run is reused, continued or waited for."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from src.files.whole import read_json
from src.runs.digests import digest
from src.runs.run import open_run, run_folder
from src.runs.store import read_settings

ROOT = Path(__file__).parents[2]
CONFIG = {"sampler": {"gamma": 0.6, "steps": 25}}
DIGEST = digest(CONFIG, weights={}, code="c")
HOLDER = f"""
import sys, time
from src.runs.run import open_run
with open_run(sys.argv[1], "ablate", {CONFIG!r}, {DIGEST!r}) as run:
    print("reused" if run.complete else "held", flush=True)
    if not run.complete:
        sys.stdin.readline()
        run.finish({{"score": 1}})
"""


def holder(root: Path) -> subprocess.Popen:
    command = [sys.executable, "-c", HOLDER, str(root)]
    return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def score(seed: int) -> dict:
    return {"file": f"images/{seed}.png", "person": 7, "prompt": "a photo of S*", "seed": seed, "photo": "photo.png",
            "face_found": True, "text/vit": 0.25, "identity/arc": float("nan")}  # fmt: skip


def test_a_run_is_written_completed_and_reused(tmp_path):
    with open_run(tmp_path, "ablate", CONFIG, DIGEST, tags=["demo"]) as run:
        assert not run.complete
        run.save_image("images/0.png", np.zeros((8, 8, 3), np.uint8), {"seed": 0})
        run.log({"loss": 0.5})
        run.write_scores([score(0)])
        run.finish({"score": 0.3})
    assert run.folder == run_folder(tmp_path, "ablate", DIGEST) == tmp_path / "ablate" / DIGEST[:12]
    assert read_json(run.path("config.json")) == CONFIG
    assert read_settings(run.path("images/0.png")) == {"seed": 0}
    before = {path: path.stat().st_mtime_ns for path in run.folder.rglob("*")}
    with open_run(tmp_path, "ablate", CONFIG, DIGEST, logger={"mode": "offline"}) as again:
        assert again.complete
        assert again.mirror is None
        assert again.summary()["score"] == 0.3
        assert again.summary()["sittings"] == 1
        assert again.scores()[0]["text/vit"] == "0.25"
    with pytest.raises(ValueError, match="is complete"):
        again.log({"loss": 0.4})
    assert before == {path: path.stat().st_mtime_ns for path in run.folder.rglob("*")}


def test_an_interrupted_run_continues_where_it_stopped(tmp_path):
    with open_run(tmp_path, "ablate", CONFIG, DIGEST) as run:
        run.log({"step": 0})
        run.save_image("images/0.png", np.zeros((8, 8, 3), np.uint8), {})
    (run.folder / "images" / ".1.png.ab12.tmp").write_bytes(b"left by a killed process")
    with open(run.path("metrics.jsonl"), "a") as file:
        file.write('{"step": ')
    with open_run(tmp_path, "ablate", CONFIG, DIGEST) as run:
        assert not run.complete
        assert run.has("images/0.png")
        assert not run.has("images/1.png")
        run.log({"step": 1})
        run.finish({})
    assert [row["step"] for row in run.metrics()] == [0, 1]
    assert run.summary()["sittings"] == 2
    assert not list(run.folder.rglob("*.tmp"))


def test_where_a_run_comes_from_is_kept(tmp_path):
    with open_run(tmp_path, "ablate", CONFIG, DIGEST) as run:
        pass
    sitting = json.loads(run.path("sittings.jsonl").read_text())
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    assert sitting["commit"] == (head.stdout.strip() or None)
    assert sitting["digest"] == DIGEST
    assert sitting["versions"]["torch"]


def test_a_second_process_waits_and_then_reuses(tmp_path):
    first = holder(tmp_path)
    assert first.stdout.readline() == "held\n"
    second = holder(tmp_path)
    line = second.stdout.readline()
    assert line.startswith("Waiting for")
    assert str(first.pid) in line
    assert DIGEST[:12] in line
    first.communicate("\n", timeout=20)
    assert second.communicate(timeout=20)[0] == "reused\n"


def test_killing_the_holder_releases_the_run(tmp_path):
    first = holder(tmp_path)
    assert first.stdout.readline() == "held\n"
    second = holder(tmp_path)
    assert second.stdout.readline().startswith("Waiting for")
    os.kill(first.pid, signal.SIGKILL)
    first.communicate()
    assert second.stdout.readline() == "held\n"
    second.communicate("\n", timeout=20)
    assert run_folder(tmp_path, "ablate", DIGEST).joinpath("summary.json").exists()
