"""Pipes, loops, endless names, full disks and checkpoints with code in them: one sentence, no traceback, no hang."""

import hashlib
import os
import pickle
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from src import compare, import_official, personalise
from src.files.whole import locked, read_object
from src.harness.compose import PACKAGE
from src.learning.checkpoints import AtomicCheckpoints
from src.metrics.image_similarity import ImageSimilarity
from src.metrics.pictures import Album
from src.metrics.text_similarity import TextSimilarity
from src.runs.digests import file_digest

ROOT = Path(__file__).parents[2]
PHOTO = PACKAGE / "tiny_world" / "examples" / "person-300000.png"


class Code:
    """Unpickled, it makes the folder `made`."""

    def __reduce__(self):
        return os.mkdir, ("made",)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with a pipe, a link to nowhere, a loop, and pickles that run code; we are in it."""
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe.png")
    Path("gone.png").symlink_to("nowhere")
    Path("loop.png").symlink_to("loop.png")
    torch.save({"weights": Code()}, "code.pt")
    Path("code.pkl").write_bytes(pickle.dumps(Code()))
    return tmp_path


ODD = ["pipe.png", "gone.png", "loop.png", "n" * 300, "."]


@pytest.mark.parametrize("name", ODD)
def test_what_is_no_file_is_named_and_not_waited_for(typed, folder, name):
    status, _, complaint = typed(personalise, f"photo={name}")
    assert status == 1
    assert complaint.startswith("error: ") and name[:80] in complaint
    for read in (lambda path: read_object(path, "restore it"), file_digest, lambda path: Album([path])):
        with pytest.raises((ValueError, OSError), match=name[:80]):
            read(Path(name))


@pytest.mark.parametrize("content", ["pipe", "[" * 100_000, "[]", "{", "\0"])
def test_a_summary_that_is_none_is_named(typed, made, tmp_path, content):
    run = tmp_path / "run"
    shutil.copytree(made["full"], run)
    (run / "summary.json").unlink()
    os.mkfifo(run / "summary.json") if content == "pipe" else (run / "summary.json").write_text(content)
    status, _, complaint = typed(compare, run, made["no_fusion"])
    assert status == 1
    assert complaint.startswith("error: ") and "summary.json" in complaint


@pytest.mark.parametrize("name", ["code.pt", "code.pkl"])
def test_weights_that_hold_code_run_none_and_end_in_a_sentence(typed, folder, name):
    net = folder / "net"
    shutil.copytree(PACKAGE / "tiny_world" / "weights" / "promptnet", net)
    (net / "diffusion_pytorch_model.safetensors").unlink()
    shutil.copy(name, net / "diffusion_pytorch_model.bin")
    status, _, complaint = typed(import_official, "folder=net", "out=new")
    assert status == 1 and complaint.startswith("error: the PromptNet at net is damaged")
    clip = folder / "clip"
    shutil.copytree(PACKAGE / "tiny_world" / "weights" / "judges" / "text_a", clip)
    shutil.copy(name, clip / "open_clip_model.safetensors")
    for model, weights in (("RN50", name), (f"local-dir:{clip}", None)):
        with pytest.raises(ValueError, match="text judge x"):
            _ = TextSimilarity(name="x", model=model, pretrained=weights).clip
    with pytest.raises(ValueError, match="image judge x"):
        _ = ImageSimilarity(name="x", model="vit_small_patch16_224.dino", weights=name).net
    assert not Path("made").exists()


def test_a_checkpoint_that_holds_code_runs_none_even_with_its_own_digest(folder):
    path = folder / "step-00000002.ckpt"
    shutil.copy("code.pt", path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    path.with_name(f"{path.name}.sha256").write_text(f"{digest}  {path.name}\n")
    with pytest.raises(ValueError, match="numbers and no code"):
        AtomicCheckpoints("an experiment").load_checkpoint(path)
    assert not Path("made").exists()


def full_disk():
    """From now on, no file of this process grows: writing fails as on a full disk."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))


@pytest.mark.parametrize("words", [["compare"], ["personalise", f"photo={PHOTO}"]], ids=lambda words: words[0])
def test_no_room_at_all_is_said_in_one_sentence(made, tmp_path, words):
    command, *rest = words if words[0] != "compare" else [*words, str(made["full"]), str(made["no_fusion"])]
    typed = [sys.executable, "-m", f"src.{command}", *rest, f"runs={tmp_path / 'runs'}"]
    done = subprocess.run(typed, cwd=ROOT, capture_output=True, text=True, check=False, preexec_fn=full_disk)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "free some space" in done.stderr.strip().splitlines()[-1]


def test_a_lock_on_a_full_disk_is_named(tmp_path):
    program = "\n".join(
        [
            "import resource; from pathlib import Path; from src.files.whole import locked",
            "resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))",
            "try:",
            f"    with locked(Path({str(tmp_path / 'lock')!r}), 'a run'): pass",
            "except OSError as error: print(error)",
        ]
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"cannot write in {tmp_path}: File too large; free some space")
    with locked(tmp_path / "lock", "a run"):
        assert "process" in (tmp_path / "lock").read_text()
