"""Every command ends on SIGTERM with status 143 and on Ctrl-C with 130, in one line, whenever they come."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from PIL import Image

from src import ablate, evaluate, personalise, train

ROOT = Path(__file__).parents[2]
SRC = ROOT / "src"
COMMANDS = sorted(path.stem for path in SRC.glob("*.py") if "__main__" in path.read_text())
PHOTO = SRC / "tiny_world" / "examples" / "person-300000.png"
ENDINGS = [(signal.SIGTERM, 143), (signal.SIGINT, 130)]
LONG = ["method.finetune.steps=100000", "logger.mode=disabled"]


def listens(pid):
    """Whether a process has a handler for SIGTERM."""
    caught = re.search(r"SigCgt:\s*(\w+)", Path(f"/proc/{pid}/status").read_text())
    return bool(int(caught[1], 16) >> (signal.SIGTERM - 1) & 1)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux to see when a process listens")
@pytest.mark.parametrize("command", COMMANDS)
def test_while_the_libraries_load(tmp_path, command):
    number, status = ENDINGS[COMMANDS.index(command) % 2]
    words = [sys.executable, "-m", f"src.{command}", *(["judge"] if command == "bench" else [])]
    child = subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    while not listens(child.pid) and child.poll() is None:
        time.sleep(0.01)
    child.send_signal(number)
    said = child.communicate(timeout=60)[0]
    assert child.returncode == status, said
    assert said.splitlines()[-1].startswith(f"{number.name}: stopped") and "Traceback" not in said, said


@pytest.fixture
def stopped(monkeypatch, tmp_path, capfd):
    """Run a command in this process, which gets a signal once a file of this pattern is there; (status, last line)."""

    def run(command, pattern, number, *words, after=0.5):
        ended = threading.Event()

        def send():
            while not any((tmp_path / "runs").glob(pattern)) and not ended.wait(0.02):
                pass
            if ended.wait(after):  # a command that is over gets no signal: it would be this process's own
                return
            for _ in range(2):  # shells and `timeout` signal a process and its group
                os.kill(os.getpid(), number)
                time.sleep(0.01)

        # whose handlers the command puts back in the end: what comes too late does not end these tests
        before = {name: lambda *_: None for name, _ in ENDINGS}
        kept = {name: signal.signal(name, handler) for name, handler in before.items()}
        monkeypatch.setattr(sys, "argv", [command.__name__, *words, f"runs={tmp_path / 'runs'}"])
        monkeypatch.chdir(tmp_path)
        sender = threading.Thread(target=send)
        sender.start()
        with pytest.raises(SystemExit) as end:
            command.main()
        ended.set()
        sender.join()
        assert {name: signal.getsignal(name) for name in before} == before
        for name, handler in kept.items():
            signal.signal(name, handler)
        said = "".join(capfd.readouterr())
        assert "Traceback" not in said
        assert said.count(": stopped") == 1
        return end.value.code, next(line for line in said.splitlines() if ": stopped" in line)

    return run


@pytest.mark.weights
@pytest.mark.parametrize(("number", "status"), ENDINGS)
def test_while_a_person_is_learned_it_is_no_success(stopped, tmp_path, number, status):
    """Lightning makes an ending of its own of both."""
    sizes = ["people=1", "prompts=1", "seeds=1", "ablation=no_fusion"]
    code, said = stopped(ablate, "full/*/photos/*.png", number, *sizes, *LONG)
    assert code == status
    assert "is kept in" in said and "the same command goes on" in said
    assert not list((tmp_path / "runs").glob("*/*/summary.json"))


@pytest.mark.weights
def test_while_an_own_photo_is_learned(stopped):
    assert stopped(personalise, "personalise/*/config.json", signal.SIGTERM, f"photo={PHOTO}", *LONG)[0] == 143


@pytest.mark.weights
@pytest.mark.parametrize(("number", "status"), ENDINGS)
def test_a_training_leaves_a_checkpoint_and_goes_on(stopped, tmp_path, number, status):
    short = ["+experiment=tiny_pretrain", "data.total_batch=2", "trainer.validation_batches=1", "logger.mode=disabled"]
    code, said = stopped(train, "train/*/metrics.jsonl", number, *short, "preview=null", after=0.0)
    assert code == status
    assert "the same command goes on from there" in said
    assert len(list((tmp_path / "runs").glob("train/*/checkpoints/*.ckpt"))) == 1


@pytest.mark.weights
def test_while_judges_look(stopped, tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    lines = ["file,person,prompt,seed"]
    for number in range(600):
        Image.new("RGB", (64, 64), (number % 256, number // 256, 9)).save(folder / f"{number}.png")
        lines.append(f"{number}.png,ada,a photo of S*,{number}")
    (folder / "manifest.csv").write_text("\n".join(lines))
    (tmp_path / "photos").mkdir()
    Image.open(PHOTO).save(tmp_path / "photos" / "ada.png")
    words = [f"images={folder}", f"photos={tmp_path / 'photos'}", "logger.mode=disabled"]
    code, said = stopped(evaluate, "embeddings/*/*", signal.SIGTERM, *words, after=0.0)
    assert code == 143
    assert "what judges have seen is kept in" in said
