"""A training that is killed, stopped or refused: what it leaves is whole, and going on changes no bit."""

import multiprocessing
import os
import random
import resource
import signal
from functools import partial
from pathlib import Path

import pytest
import torch

from src.files.whole import check_record
from src.learning.checkpoints import AtomicCheckpoints, checkpoints_in, newest
from tests.learning.conftest import Stack, learner, pretrain

STEPS = 8  # of 4 of 10 photos: an epoch ends within steps 3, 5 and 8
EXPERIMENT = "an experiment"


def scheduled(base):
    """A module with all that has a state: AdamW, a schedule of the learning rate; the average is the trainer's."""
    return learner(base, scheduler=partial(torch.optim.lr_scheduler.LinearLR, total_iters=STEPS))


def forked(act):
    """Run `act` in a child process; its exit status, or minus the number of the signal that killed it."""
    child = multiprocessing.get_context("fork").Process(target=act)
    child.start()
    child.join(60)
    return child.exitcode


def whole(base, photos, folder, *, every=2, **changes):
    pretrain(base, photos, folder, STEPS, module=scheduled(base), ema=0.9, checkpoint_every=every, total=4, **changes)
    return AtomicCheckpoints(EXPERIMENT).load_checkpoint(checkpoints_in(folder / "checkpoints")[-1])


class Signalling(Stack):
    """Photos of which the `last`-th that is read sends this process a signal."""

    def __init__(self, tensor, last, number=signal.SIGKILL):
        super().__init__(tensor)
        self.left, self.number = last, number

    def __getitem__(self, index):
        self.left -= 1
        if not self.left:
            os.kill(os.getpid(), self.number)
        return super().__getitem__(index)


def kill_at_validation(step):
    """A picture of step `step` kills: in the middle of a validation."""
    return lambda now: os.kill(os.getpid(), signal.SIGKILL) if now == step else None


def assert_same(a, b, where="checkpoint"):
    """Bit for bit, whatever is nested in what."""
    assert type(a) is type(b), where
    if isinstance(a, torch.Tensor):
        assert a.dtype == b.dtype and torch.equal(a, b), where
    elif isinstance(a, dict):
        assert a.keys() == b.keys(), where
        for key in a:
            assert_same(a[key], b[key], f"{where}.{key}")
    elif isinstance(a, list | tuple):
        assert len(a) == len(b), where
        for number, pair in enumerate(zip(a, b, strict=True)):
            assert_same(*pair, f"{where}.{number}")
    else:
        assert a == b, where


@pytest.fixture
def unbroken(tiny_base, photos, tmp_path):
    return whole(tiny_base, photos, tmp_path / "unbroken")


def test_killed_anywhere_it_ends_where_the_unbroken_run_does(tiny_base, photos, tmp_path, unbroken):
    """Before the first checkpoint, in every step's reading (epoch ends included), in a validation, while saving."""
    reads = [2, 7, 10, 13, 19, 25, 31, 39]  # 4 photos a step, and 4 more at every second step's validation
    kills = {f"read-{last}": {"photos": Signalling(photos.tensors[0], last)} for last in reads}
    kills |= {f"validation-{step}": {"show": kill_at_validation(step)} for step in (2, 6, 8)}
    for name, kill in kills.items():
        folder, kill = tmp_path / name, {"photos": photos, **kill}
        assert forked(lambda f=folder, k=kill: whole(tiny_base, k["photos"], f, show=k.get("show", print))) == -9, name
        torch.rand(3)  # what this process has drawn is forgotten
        random.random()
        assert_same(whole(tiny_base, photos, folder), unbroken, name)


def test_killed_while_a_checkpoint_is_written_the_one_before_counts(tiny_base, photos, tmp_path, unbroken):
    def dies():
        sizes = iter(range(10_000))
        write = torch.save

        def save(value, file):
            if next(sizes) == 2:  # the third checkpoint: half of it, then the end
                file.write(b"half a checkpoint")
                os.kill(os.getpid(), signal.SIGKILL)
            write(value, file)

        torch.save = save
        whole(tiny_base, photos, tmp_path / "dies")

    assert forked(dies) == -9
    assert [p.name for p in checkpoints_in(tmp_path / "dies" / "checkpoints")] == [
        "step-00000002.ckpt",
        "step-00000004.ckpt",
    ]
    assert_same(whole(tiny_base, photos, tmp_path / "dies"), unbroken)


def test_accumulated_passes_survive_a_kill(tiny_base, photos, tmp_path):
    expected = whole(tiny_base, photos, tmp_path / "unbroken", batch=1)
    assert forked(lambda: whole(tiny_base, Signalling(photos.tensors[0], 17), tmp_path / "killed", batch=1)) == -9
    assert_same(whole(tiny_base, photos, tmp_path / "killed", batch=1), expected)


def test_a_resumed_run_repeats_and_lacks_no_validation(tiny_base, photos, tmp_path):
    _, rows, validation = pretrain(tiny_base, photos, tmp_path / "unbroken", 6)
    _, first, _ = pretrain(tiny_base, photos, tmp_path / "broken", 4)
    _, then, again = pretrain(tiny_base, photos, tmp_path / "broken", 6)
    steps = [[row["step"] for row in found if "val/loss" in row] for found in (rows, first[:-1] + then)]
    assert steps[0] == steps[1]
    assert validation == again


def test_a_finished_training_gives_the_averaged_weights_again(tiny_base, photos, tmp_path):
    module, _, validation = pretrain(tiny_base, photos, tmp_path, 4, ema=0.5)
    again, _, same = pretrain(tiny_base, photos, tmp_path, 4, ema=0.5)
    assert_same(dict(again.state_dict()), dict(module.state_dict()))
    assert validation == same
    plain, _, _ = pretrain(tiny_base, photos, tmp_path / "plain", 4)
    assert not torch.equal(plain.net.conv_in.weight, module.net.conv_in.weight)


def test_the_average_is_an_exponential_one(tiny_base, photos, tmp_path):
    folder = tmp_path / "checkpoints"
    pretrain(tiny_base, photos, tmp_path, 3, ema=0.75, checkpoint_every=1, validate_every=3)
    found = [AtomicCheckpoints(EXPERIMENT).load_checkpoint(path) for path in checkpoints_in(folder)]
    name = "net.conv_in.weight"
    average = found[0]["current_model_state"][name]  # begins with the first step
    for checkpoint in found[1:]:
        average = 0.75 * average + 0.25 * checkpoint["current_model_state"][name]
    torch.testing.assert_close(found[-1]["state_dict"][name], average)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
@pytest.mark.parametrize("step", [3, 4])  # without and with a validation
def test_a_signal_ends_it_with_a_checkpoint_and_status_143(tiny_base, photos, tmp_path, number, step):
    read = {3: 13, 4: 17}[step]  # the first photo of that step, after 4 of a validation
    signalling = Signalling(photos.tensors[0], read, number)

    def asked():
        pretrain(tiny_base, signalling, tmp_path / "asked", STEPS, checkpoint_every=50)

    assert forked(asked) == 143
    found = checkpoints_in(tmp_path / "asked" / "checkpoints")
    assert [path.name for path in found] == [f"step-{step:08d}.ckpt"]
    check_record(found[0], "delete it")


def test_the_last_few_checkpoints_are_kept_each_with_its_digest(tiny_base, photos, tmp_path):
    pretrain(tiny_base, photos, tmp_path, 6, checkpoint_every=1, keep=2)
    names = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert names == [f"step-0000000{step}.ckpt{suffix}" for step in (5, 6) for suffix in ("", ".sha256")]
    for path in checkpoints_in(tmp_path / "checkpoints"):
        check_record(path, "delete it")


def test_a_damaged_checkpoint_is_named_and_not_passed_over(tiny_base, photos, tmp_path):
    pretrain(tiny_base, photos, tmp_path, 2)
    path = checkpoints_in(tmp_path / "checkpoints")[-1]
    path.write_bytes(path.read_bytes()[:-9] + b"!" * 9)
    with pytest.raises(ValueError, match=r"step-00000002\.ckpt has SHA-256 .* damaged; delete it"):
        pretrain(tiny_base, photos, tmp_path, 4)


def test_a_checkpoint_of_another_experiment_is_refused(tiny_base, photos, tmp_path):
    pretrain(tiny_base, photos, tmp_path, 2)
    path = checkpoints_in(tmp_path / "checkpoints")[-1]
    with pytest.raises(ValueError, match="of another experiment"):
        AtomicCheckpoints("another").load_checkpoint(path)


def test_a_checkpoint_of_another_architecture_is_refused(tiny_base, photos, tmp_path):
    pretrain(tiny_base, photos, tmp_path, 2)
    module = learner(tiny_base)
    module.net.vision_embedding = torch.nn.Linear(48, 16)
    with pytest.raises(ValueError, match=r"another architecture: 2 tensors differ, first net\.vision_embedding"):
        pretrain(tiny_base, photos, tmp_path, 4, module=module)


def test_beginning_anew_over_checkpoints_is_refused(tiny_base, photos, tmp_path):
    pretrain(tiny_base, photos, tmp_path, 2)
    with pytest.raises(ValueError, match="resume=false would write over it"):
        pretrain(tiny_base, photos, tmp_path, 4, resume=False)
    assert newest(tmp_path / "nowhere", resume=False) is None


def test_a_full_disk_is_a_loud_error_and_the_previous_checkpoint_stays(tiny_base, photos, tmp_path):
    pretrain(tiny_base, photos, tmp_path, 2)
    before = newest(tmp_path / "checkpoints", resume=True)
    size = before.stat().st_size

    def full():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size // 2, size // 2))
        try:
            pretrain(tiny_base, photos, tmp_path, 4)
        except OSError as error:
            os._exit(7 if "cannot write in" in str(error) and "free some space" in str(error) else 8)

    assert forked(full) == 7
    assert sorted(p.name for p in (tmp_path / "checkpoints").iterdir()) == [before.name, f"{before.name}.sha256"]
    pretrain(tiny_base, photos, tmp_path, 4)


def test_a_folder_that_cannot_be_written_is_named(tiny_base, photos, tmp_path):
    (tmp_path / "checkpoints").write_text("a file where the folder should be")
    with pytest.raises(OSError, match=rf"cannot write in {Path(tmp_path) / 'checkpoints'}"):
        pretrain(tiny_base, photos, tmp_path, 2)


@pytest.mark.parametrize("changes", [{"precision": "16-mixed"}, {"keep": 0}, {"checkpoint_every": 0}])
def test_a_setting_that_cannot_be_is_named(tiny_base, photos, tmp_path, changes):
    name, value = next(iter(changes.items()))
    with pytest.raises(ValueError, match=rf"trainer\.{name} \({value}\) must be"):
        pretrain(tiny_base, photos, tmp_path, 2, **changes)
