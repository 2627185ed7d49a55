"""Weights & Biases gets a copy when it can; it can neither stop a run nor is it reached unasked."""

import json
import os
import re
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from src.runs.mirror import Mirror

ROOT = Path(__file__).parents[2]
# A whole run in a process of its own (wandb reads its environment once); argv: folder, mode, seconds of patience.
SCRIPT = """
import os, signal, sys
from pathlib import Path
import numpy as np
from src.runs import mirror
from src.runs.run import open_run

def watch(event, args):  # what this process asks of the network, by name or by address
    if event == "socket.getaddrinfo" or event == "socket.connect" and not isinstance(args[1], str):
        print("NETWORK", event, args[-1] if event == "socket.connect" else args[:2])

sys.addaudithook(watch)
root, mode, mirror.PATIENCE, kill = sys.argv[1], sys.argv[2], float(sys.argv[3]), sys.argv[4:] == ["kill"]
logger = {"mode": mode, "log_photos": False}
with open_run(root, "ablate", {"gamma": 0.6}, "d" * 64, logger=logger, group="demo", tags=["no_fusion"]) as run:
    rows = []
    for seed in range(3):
        name = f"images/{seed}.png"
        run.save_image(name, np.full((64, 64, 3), seed, np.uint8), {"seed": seed})
        rows.append({"file": name, "person": 1 if seed else "you", "prompt": "a photo of S*", "seed": seed,
                     "photo": "photo.png", "face_found": True, "text/vit": 0.25, "identity/arc": ""})
        run.log({"loss": 0.5 - 0.1 * seed})
    if kill:
        children = [pid for task in Path("/proc/self/task").glob("*/children") for pid in task.read_text().split()]
        (core,) = [pid for pid in children if "wandb-core" in Path(f"/proc/{pid}/cmdline").read_text()]
        os.kill(int(core), signal.SIGKILL)
        while run.mirror.run:
            run.log({"loss": 0.0})
    run.write_scores(rows)
    run.finish({"score": 0.3})
print("DONE", run.folder)
"""


def go(tmp_path: Path, mode: str, *words: str, patience: float = 10, **env: str) -> str:
    """Run SCRIPT with its home in tmp_path, nobody logged in, and return what it prints."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("WANDB")}
    clean |= {"HOME": str(tmp_path), "NETRC": str(tmp_path / "netrc"), **env}
    command = [sys.executable, "-c", SCRIPT, str(tmp_path / "runs"), mode, str(patience), *words]
    done = subprocess.run(command, cwd=ROOT, env=clean, capture_output=True, text=True, timeout=60)
    assert "DONE" in done.stdout, done.stderr
    return done.stdout


def folder(tmp_path: Path) -> Path:
    (found,) = (tmp_path / "runs" / "ablate").iterdir()
    return found


def mirrored(tmp_path: Path) -> dict:
    """What wandb's own reader finds in the one offline run of the folder."""
    (run,) = folder(tmp_path).glob("wandb/offline-run-*")
    command = [
        str(Path(sys.executable).with_name("wandb")),
        "leet",
        "inspect",
        "--summary",
        "--json",
        str(run),
    ]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def test_offline_keeps_a_copy_in_the_folder_and_asks_nothing_of_the_network(tmp_path):
    said = go(tmp_path, "offline")
    assert "NETWORK" not in said
    assert "W&B" not in said
    found = mirrored(tmp_path)
    assert found["config"] == {"gamma": 0.6}
    assert found["tags"] == ["no_fusion"]
    assert found["state"] == "finished"
    assert found["summary"]["loss"] == pytest.approx(0.3)
    assert found["summary"]["score"] == 0.3
    (table,) = folder(tmp_path).glob("wandb/offline-run-*/files/media/table/*.json")
    content = json.loads(table.read_text())
    wanted = ["picture", "file", "person", "prompt", "seed", "face_found", "text/vit", "identity/arc"]
    assert content["columns"] == wanted
    assert len(content["data"]) == 3
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]  # nothing is left in the user's home


def test_disabled_starts_nothing(tmp_path):
    go(tmp_path, "disabled")
    assert not (folder(tmp_path) / "wandb").exists()


def test_without_a_login_the_run_is_kept_offline(tmp_path):
    said = go(tmp_path, "online")
    assert len(re.findall(r"W&B fails \(UsageError: no account is logged in.*wandb sync", said)) == 1
    assert mirrored(tmp_path)["summary"]["score"] == 0.3


@pytest.mark.parametrize("server", ["closed", "silent"])
def test_an_unreachable_server_does_not_stop_the_run(tmp_path, server):
    listener = socket.create_server(("127.0.0.1", 0))
    address = f"http://127.0.0.1:{listener.getsockname()[1]}"
    if server == "closed":
        listener.close()
    start = time.monotonic()
    said = go(tmp_path, "online", patience=1, WANDB_BASE_URL=address, WANDB_API_KEY="a" * 40)
    assert time.monotonic() - start < 25
    assert said.count("W&B fails") == 1
    assert "CommError" in said
    assert mirrored(tmp_path)["summary"]["score"] == 0.3
    assert len((folder(tmp_path) / "metrics.jsonl").read_text().splitlines()) == 3
    listener.close()


def test_wandb_dying_in_the_middle_does_not_stop_the_run(tmp_path):
    said = go(tmp_path, "offline", "kill")
    assert said.count("W&B fails") == 1
    assert "goes on without it" in said
    assert json.loads((folder(tmp_path) / "summary.json").read_text())["score"] == 0.3


SIDES = """
import os, signal, sys, time
from pathlib import Path
from src.runs.run import open_run

def kill(now):
    if now in sys.argv[2:]:
        children = [pid for task in Path("/proc/self/task").glob("*/children") for pid in task.read_text().split()]
        (core,) = [pid for pid in children if "wandb-core" in Path(f"/proc/{pid}/cmdline").read_text()]
        os.kill(int(core), signal.SIGKILL)
        time.sleep(0.5)

for side in ("full", "no_fusion", "copy"):
    with open_run(sys.argv[1], side, {"gamma": 0.6}, "d" * 64, logger={"mode": "offline"}) as run:
        run.log({"loss": 0.5})
        kill(f"in {side}")
        run.write_scores([{"file": "0.png", "person": 1, "prompt": "S*", "seed": 0}])
        run.finish({"score": 0.3})
    print("SIDE", side)
    kill(f"after {side}")
"""


def sides(tmp_path: Path, *words: str, **env: str) -> str:
    """Run SIDES with its home in tmp_path, and return all it says, its end included."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("WANDB")}
    clean |= {"HOME": str(tmp_path), **env}
    command = [sys.executable, "-c", SIDES, str(tmp_path / "runs"), *words]
    done = subprocess.run(command, cwd=ROOT, env=clean, capture_output=True, text=True, timeout=120)
    said = done.stdout + done.stderr
    assert done.returncode == 0 and said.count("SIDE") == 3 and "Traceback" not in said, said
    assert len(list((tmp_path / "runs").glob("*/*/summary.json"))) == 3
    return said


def test_after_wandbs_helper_died_the_next_side_is_mirrored_again(tmp_path):
    assert sides(tmp_path, "in full").count("W&B fails") == 1
    assert len(list((tmp_path / "runs").glob("*/*/wandb/offline-run-*/*.wandb"))) == 3


@pytest.mark.parametrize(("when", "lines"), [("after full", 1), ("after copy", 0), ("in copy", 1)])
def test_wandbs_helper_may_die_at_any_time(tmp_path, when, lines):
    assert sides(tmp_path, when).count("W&B fails") == lines


@pytest.mark.parametrize(
    "setting",
    ["WANDB_BASE_URL=not a url", "WANDB_MODE=moon", "WANDB_SILENT=maybe", "WANDB_SERVICE=x", "WANDB_PROJECT=a/b"],
)
def test_a_setting_that_wandb_refuses_stops_no_side_and_each_says_so_once(tmp_path, setting):
    name, _, value = setting.partition("=")
    said = sides(tmp_path, **{name: value})
    assert said.count("W&B fails") == said.count("goes on without it") == 3


def test_a_refused_setting_is_said_once_even_online(tmp_path):
    said = go(tmp_path, "online", WANDB_BASE_URL="not a url", WANDB_API_KEY="a" * 40)
    assert said.count("W&B fails") == 1 and "goes on without it" in said


def test_an_unknown_mode_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"logger.mode \(onlin\) must be one of offline, online, disabled"):
        Mirror(tmp_path, {}, mode="onlin")
