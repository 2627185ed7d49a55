"""With W&B offline no command asks anything of the network, and none keeps an identity in the user's home."""

import platform
import sys
from pathlib import Path

import numpy as np
import offline
import pytest

from src.files.sheets import read_sheet
from tests.conftest import write_base
from tests.data.test_photos import write
from tests.test_data_commands import official

ROOT = Path(__file__).parents[1]
PHOTO = ROOT / "src" / "tiny_world" / "examples" / "person-300000.png"
SMALL = ["people=1", "prompts=1", "seeds=1", "sampler.steps=1", "method.finetune.steps=1"]
TRAIN = ["data.total_batch=2", "trainer.steps=1", "trainer.validation_batches=1", "preview=null"]
pytestmark = [
    pytest.mark.weights,
    pytest.mark.skipif(sys.platform != "linux" or platform.machine() not in offline.SOCKET, reason="needs seccomp"),
]


@pytest.fixture
def run(tmp_path):
    """Run a command without a network; it must succeed, and so must its mirror."""

    def typed(module, *words):
        place = [] if module == "src.bench" else [f"runs={tmp_path / 'runs'}"]
        done = offline.go(tmp_path / "home", module, *words, *place)
        assert done.returncode == 0, f"{done.returncode} {done.stdout[-500:]} {done.stderr[-2000:]}"
        assert "W&B fails" not in done.stdout
        kept = {path.name for path in (tmp_path / "home").rglob("*")}
        assert not any("onnxruntime" in name or "deviceid" in name or "wandb" in name for name in kept), kept
        return tmp_path / "runs"

    (tmp_path / "home").mkdir()
    return typed


@pytest.mark.parametrize("code", ["socket.create_connection(('example.org', 80))", "socket.getaddrinfo('a.b', 1)"])
def test_an_attempt_is_seen(tmp_path, code):
    (tmp_path / "asking.py").write_text(f"import socket\n{code}\n")
    done = offline.go(tmp_path, "asking", cwd=tmp_path)
    assert done.returncode == -31, done.stderr  # SIGSYS


def test_a_photo_is_learned_and_judged(run):
    runs = run("src.personalise", f"photo={PHOTO}", "seeds=1", *SMALL[3:])
    assert list(runs.glob("personalise/*/wandb/offline-run-*"))


@pytest.mark.slow
def test_studies_and_what_is_made_of_them(run, tmp_path):
    runs = run("src.ablate", "ablation=no_fusion", *SMALL)
    sides = [next((runs / name).iterdir()) for name in ("full", "no_fusion")]
    run("src.evaluate", f"images={sides[0]}")
    run("src.compare", *sides)
    run("src.human_eval", "make", *sides, "checks=1")
    (kit,) = (runs / "human_eval").iterdir()
    key = read_sheet(kit / "key.csv")
    lines = [f"{row['kit']},{row['sheet']},ann {row['sheet']},{row['item']},text,left" for row in key]
    (tmp_path / "ratings.csv").write_text("\n".join(["kit,sheet,rater,item,question,answer", *lines]))
    run("src.human_eval", "score", tmp_path / "ratings.csv", f"kit={kit}", "pass_rate=0", "at_least=1")
    run("src.dashboard", "project=demo", "entity=me")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("module", "words"),
    [
        ("src.sweep", ["sweep=gamma", "sweep.values=[1]", *SMALL]),
        ("src.tune", ["grid=fusion", *SMALL]),
        ("src.claims", ["effort=quick", "only=[finetuning]", "people=1", "prompts=1", "overrides=['sampler.steps=1']"]),
        ("src.regularisation", ["early_steps=1", "further_steps=1", "penalties=[0.0]", "people=1", "prompts=1"]),
        ("src.train", ["+experiment=tiny_pretrain", *TRAIN]),
        ("src.bench", ["judge", "images=4"]),
        ("src.bench", ["train", "steps=1", "data.total_batch=2"]),
    ],
    ids=lambda value: value if isinstance(value, str) else value[0],
)
def test_every_other_command(run, module, words):
    run(module, *words)


@pytest.mark.slow
def test_weights_from_elsewhere_and_for_elsewhere(run, tmp_path):
    run("src.import_official", f"folder={official(tmp_path / 'theirs')}", f"out={tmp_path / 'ours'}")
    runs = run("src.personalise", f"photo={PHOTO}", "seeds=1", *SMALL[3:])
    run("src.export_person", f"run={next((runs / 'personalise').iterdir())}", f"out={tmp_path / 'person'}")
    for number in range(4):
        write(tmp_path / "photos" / f"{number}.png", np.full((128, 128, 3), number))
    photos = ["data=ffhq", f"data.train.folder={tmp_path / 'photos'}", "data.train.size=64", "world.weights=null"]
    base = [f"base.folder_or_hub_id={write_base(tmp_path / 'base')}", "latents=true"]
    run("src.prepare_data", *photos, *base, f"out={tmp_path / 'data'}")


@pytest.mark.slow
def test_the_world_is_unpacked_to_be_built_anew(run, tmp_path):
    run("src.build_tiny_world", "stage=unpack", f"cache={tmp_path / 'cache'}")
