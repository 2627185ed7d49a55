"""A value of the wrong kind is refused by name, with what is allowed, before anything heavy is imported."""

import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from src.harness import compose
from src.harness.settings import check, kinds

ROOT = Path(__file__).parents[3]
REFUSED = [
    ("ablate", "sampler.steps=1.5", "sampler.steps (1.5) must be a whole number from 1"),
    ("ablate", "sampler.steps=1e3", "sampler.steps (1000.0) must be a whole number"),
    ("ablate", "sampler=null", "sampler (null) must be one of base, fusion"),
    ("ablate", "sampler=", "sampler () must be one of base, fusion"),
    ("ablate", "world=3", "world (3) must be one of sd2, tiny"),
    ("ablate", "method=[]", "method ([]) must be one of dreambooth, profusion"),
    ("ablate", "device=xpu", "device (xpu) must be auto, cpu, cuda, cuda:N or mps"),
    ("ablate", "logger={mode: offline}", "logger ({mode: offline}) must be one of disabled"),
    ("ablate", "~method.finetune", "method.finetune=null"),
    ("ablate", "~sampler", "no setting is deleted"),
    ("ablate", "people=true", "people (True) must be a whole number"),
    ("ablate", "people=", "people () must be a whole number"),
    ("ablate", "people=???", "people (???) must be a whole number"),
    ("ablate", "people=[1]", "people ([1]) must be a whole number"),
    ("ablate", "runs=null", "runs (null) must be text"),
    ("ablate", "method.finetune=3", "method.finetune (3) must be a group of settings or null"),
    ("ablate", "method.finetune.low_third=nan", "method.finetune.low_third (nan) must be a number in [0, 1]"),
    ("ablate", "method.finetune.lr=0", "method.finetune.lr (0) must be a number above 0"),
    ("ablate", "method.finetune.seed=-1", "method.finetune.seed (-1) must be a whole number from 0"),
    ("ablate", "method={finetune: {steps: 3}}", "method ({finetune: {steps: 3}}) must be one of dreambooth, profusion"),
    ("ablate", "sampler.joint=[{prompt: joint, wait: 1}]", "sampler.joint"),
    ("ablate", "sampler.guidance=7", "sampler.guidance (7) must be a group of settings"),
    ("sweep", "sweep.values=[0.5,2]", "sampler.gamma (2) must be a number in [0, 1]"),
    ("sweep", "sweep.setting=sampler.steps", "sampler.steps (0.0) must be a whole number"),
    ("personalise", "seed=abc", "seed (abc) must be a whole number from 0"),
    ("personalise", "seed=2**64", "seed (2**64) must be a whole number from 0 to 4294967295"),
    ("personalise", f"seed={2**64}", "must be a whole number from 0 to 4294967295"),
    ("personalise", "prompts=null", "prompts (null) must be text or a list of at least one text"),
    ("personalise", "prompts=[1,2]", "prompts ([1, 2])"),
    ("personalise", "photo=null", "photo (null)"),
    ("personalise", "people=[a]", "people (['a']) must be a list of a whole number"),
    ("train", "trainer.steps=ten", "trainer.steps (ten) must be a whole number from 1"),
    ("train", "learning.low_third=2", "learning.low_third (2) must be a number in [0, 1]"),
    ("train", "learning.optimizer.lr=fast", "learning.optimizer.lr (fast) must be a number above 0"),
    ("train", "resume=maybe", "resume (maybe) must be true or false"),
    ("evaluate", "faces.none=blank", "faces.none (blank) must be one of zero, excluded"),
    ("evaluate", "batch=0.5", "batch (0.5)"),
    ("human_eval", "raters=many", "raters (many)"),
    ("compare", "pixels=-1", "pixels (-1)"),
    ("claims", "record=2", "record (2) must be true or false"),
    ("export_person", "timestep=1000", "timestep (1000) must be a whole number from 0 to 999"),
    ("build_tiny_world", "stage=moon", "stage (moon) must be one of unpack, vae"),
    ("ablate", "seeds=$(", "seeds=$( cannot be read as a setting"),
    ("ablate", "people", "people cannot be read as a setting"),
    ("ablate", "=3", "=3 cannot be read as a setting"),
]


@pytest.mark.parametrize(("command", "word", "said"), REFUSED, ids=[f"{c} {w[:40]}" for c, w, _ in REFUSED])
def test_a_value_of_the_wrong_kind_is_refused_by_name_and_with_what_is_allowed(command, word, said):
    with pytest.raises(ValueError, match=re.escape(said)):
        compose.composed(command, [word])


@pytest.mark.parametrize(
    ("command", "place", "change"),
    [
        ("ablate", "ablation.change", {"sampler.steps": "ten"}),
        ("sweep", "sweep.lines", {"fusion": {"sampler.steps": "ten"}}),
        ("tune", "grid", {"sampler.steps": ["ten"]}),
    ],
    ids=["ablation", "sweep", "grid"],
)
def test_what_a_study_file_gives_to_another_setting_is_checked_by_that_setting(command, place, change):
    cfg = compose.composed(command, [])
    OmegaConf.update(cfg, place, change, merge=False)
    with pytest.raises(ValueError, match=r"sampler\.steps \(ten\) must be a whole number"):
        check.check(cfg, command)


@pytest.mark.parametrize("words", [("ablate", "sampler.steps=1.5"), ("bench", "train", "steps=ten")], ids=" ".join)
def test_it_is_refused_in_two_seconds_and_before_torch_is_read(tmp_path, words):
    start = time.monotonic()
    typed = [sys.executable, "-X", "importtime", "-m", f"src.{words[0]}", *words[1:], f"runs={tmp_path / 'runs'}"]
    done = subprocess.run(typed, cwd=ROOT, capture_output=True, text=True, check=False)
    assert time.monotonic() - start < 2 * slowness()
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(f"error: {'sampler.' if words[0] == 'ablate' else ''}steps (")
    assert "Traceback" not in done.stderr and "torch" not in done.stderr and not (tmp_path / "runs").exists()


def slowness() -> float:
    """How much longer than usual this machine takes for a bare interpreter just now, at least 1."""
    start = time.monotonic()
    subprocess.run([sys.executable, "-c", "import hydra"], check=True)
    return max(1.0, (time.monotonic() - start) / 0.3)


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        (kinds.whole(1, 9), [1, 9], [0, 10, 1.0, True, "1", None, [1]]),
        (kinds.number(0, 1, above=True, below=True), [0.5], [0, 1, float("nan"), True, "0.5"]),
        (kinds.number(), [-1e30, 0], [float("inf"), None]),
        (kinds.choice("a", "b"), ["a"], ["c", None, ["a"]]),
        (kinds.listed(kinds.TEXT, 1) | kinds.NULL, [["a"], None], [[], "a", [1]]),
        (kinds.GROUP, [{}], [None, []]),
    ],
    ids=lambda value: getattr(value, "words", None),
)
def test_kinds(kind, good, bad):
    assert all(map(kind.fits, good))
    assert not any(map(kind.fits, bad))
