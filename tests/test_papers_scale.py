"""The paper's size without its weights: pre-train, personalise, judge and ablate at 512 px on a CPU, within 20 GB."""

import os
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors import safe_open

from src.files.sheets import read_sheet
from src.runs.store import read_jsonl

ROOT = Path(__file__).parents[1]
MOST = 20e9  # bytes of a command
TRAINED = ["+experiment=ffhq_pretrain", "trainer=sd2_cpu", "trainer.steps=1", "trainer.ema=null", "trainer.keep=1"]
TRAINED += ["trainer.validate_every=1", "trainer.checkpoint_every=1", "preview=null"]
TRAINED += [
    "data.total_batch=1",
    "data.batch=1",
    "data.workers=0",
    "data.train.held_out=0.3",
    "data.train.indexes=null",
]
LEARNED = ["world=sd2", "method.finetune.steps=1", "method.finetune.batch=1", "sampler.steps=2", "seeds=1"]
LEARNED += ["method.finetune.gradient_checkpointing=true"]


def ran(command: str, *words: str) -> str:
    """What a command in a process of its own printed; its peak memory is printed, too."""
    threads = {"OMP_NUM_THREADS": str(os.cpu_count() or 1)}
    words = [*words, "base=sd2_random", "device=cpu", "logger=disabled"]
    line = [sys.executable, "-m", f"src.{command}", *words]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, env={**os.environ, **threads}, check=False)
    peak = 1024 * resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    print(f"{command}: at most {peak / 1e9:.1f} GB so far")
    assert done.returncode == 0, done.stderr[-2000:]
    assert peak < MOST
    return done.stdout


@pytest.mark.slow
@pytest.mark.weights
def test_the_papers_size_runs_from_training_to_scores(tmp_path):
    people, runs = tmp_path / "people", tmp_path / "runs"
    people.mkdir()
    for name in ("ada", "bea", "cleo"):
        pixels = np.random.default_rng(len(name)).integers(0, 255, (520, 520, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(people / f"{name}.png")
    ran("train", *TRAINED, f"data.train.folder={people}", f"runs={runs}")
    (promptnet,) = (runs / "train").glob("*/promptnet")
    (people / "CONSENT.txt").write_text("All three agreed.")
    where = [*LEARNED, f"runs={runs}", f"world.promptnet={promptnet}"]

    ran("personalise", *where, f"photo={people / 'ada.png'}", "judges=tiny", "prompts=['a photo of S* at the beach']")
    (run,) = (runs / "personalise").iterdir()
    (scored,) = read_sheet(run / "scores.csv")
    assert -1 <= float(scored["text/text_a"]) <= 1
    assert Image.open(run / scored["file"]).size == (512, 512)
    assert read_jsonl(run / "sittings.jsonl")[0]["device"] == "cpu"
    person = run / "person.safetensors"
    assert person.stat().st_size < 1.2e9
    with safe_open(person, "pt") as file:
        assert file.metadata()["dtype"] == "bfloat16"

    sizes = ["people=1", "prompts=1", f"people_set.folder={people}", "ablation=no_fusion"]
    assert "full 10, no_fusion 6" in ran("ablate", *where, *sizes)  # U-Net evaluations of two steps
