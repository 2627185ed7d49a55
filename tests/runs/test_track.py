"""A finished run becomes one of a group on Weights & Biases, once."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from src.runs.run import Run, open_run, track

OFFLINE = {"mode": "offline", "project": "profusion"}


@pytest.fixture
def run(tmp_path: Path) -> Run:
    row = {"person": 1, "prompt": "a photo of S*", "family": "after", "seed": 0, "file": "images/0.png", "text/a": 0.5}
    with open_run(tmp_path, "claim", {"gamma": 0.7}, "0123456789abcdef") as made:
        made.save_image("images/0.png", np.full((8, 8, 3), 7, np.uint8), {})
        made.log({"person": "1", "unet_evaluations": 125})
        made.write_scores([row])
        made.finish({"text/a": 0.5})
    return made


def known(folder: Path) -> list[dict]:
    """What wandb's own reader finds in the offline runs of a folder."""
    program = str(Path(sys.executable).with_name("wandb"))
    runs = sorted(folder.glob("wandb/offline-run-*"))
    words = [[program, "leet", "inspect", "--summary", "--json", str(each)] for each in runs]
    return [json.loads(subprocess.run(each, capture_output=True, check=True).stdout) for each in words]


def test_a_side_of_two_claims_is_in_both_groups_and_once_in_each(run: Run) -> None:
    for _ in range(2):
        for claim in ("claim-both_stages-full", "claim-finetuning-full"):
            track(run, claim, "full", OFFLINE)
    found = known(run.folder)
    assert len(found) == 2
    assert all(each["summary"]["text/a"] == 0.5 for each in found)
    with open_run(run.folder.parents[1], "claim", {}, "0123456789abcdef") as again:
        assert again.complete  # and checked: a mirror is none of a run's own files


def test_a_disabled_logger_writes_nothing(run: Run) -> None:
    track(run, "claim-both_stages-quick", "full", {**OFFLINE, "mode": "disabled"})
    assert not run.path("wandb").exists()
