"""Checkpoints: atomic files with their SHA-256, the last few kept, and a training that goes on bit for bit."""

import hashlib
import pickle
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Checkpoint
from pytorch_lightning.plugins.io import CheckpointIO

from src.files.whole import check_record, record, record_of, whole_file
from src.learning.stopping import StopSignal

SUFFIX = ".ckpt"
AGAIN = "delete it to go on from the one before"


def checkpoint_path(folder: Path, step: int) -> Path:
    """Where the checkpoint after `step` optimiser steps lies."""
    return folder / f"step-{step:08d}{SUFFIX}"


def checkpoints_in(folder: Path) -> list[Path]:
    """The whole checkpoints of a folder, oldest first; [] if there is none."""
    return sorted(folder.glob(f"step-*{SUFFIX}"))


def newest(folder: Path, resume: bool) -> Path | None:
    """The checkpoint to go on from; None to begin anew.

    Raises ValueError where `resume` is False though there are checkpoints: they would be written over.
    """
    found = checkpoints_in(folder)
    if found and not resume:
        raise ValueError(f"{folder} holds {found[-1].name} and resume=false would write over it: move or delete it")
    return found[-1] if found else None


class _Hashed:
    """A file that is written, and the SHA-256 of what went into it."""

    def __init__(self, file: BinaryIO):
        self.file, self.sha256 = file, hashlib.sha256()
        self.failure: OSError | None = None

    def write(self, data: Any) -> int:
        self.sha256.update(data)
        try:
            return self.file.write(data)
        except OSError as error:  # torch.save forgets it
            self.failure = error
            raise

    def flush(self) -> None:
        self.file.flush()


class AtomicCheckpoints(CheckpointIO):
    """Reads and writes a checkpoint and, beside it, its digest in the format of `sha256sum -c`.

    experiment: the digest of what is trained; a checkpoint of another one is refused.
    """

    def __init__(self, experiment: str):
        self.experiment = experiment

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """OSError for a full disk or a folder that cannot be written; earlier checkpoints are untouched then."""
        path = Path(path)
        with whole_file(path) as file:
            hashed = _Hashed(file)
            try:
                torch.save({**checkpoint, "experiment": self.experiment}, hashed)  # type: ignore[arg-type]
            except (RuntimeError, OSError) as error:
                raise hashed.failure or error from error
            # before the checkpoint gets its name: one without its digest is never seen
            record(path, hashed.sha256.hexdigest())

    def load_checkpoint(
        self, path: str | Path, map_location: Any = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """ValueError for a checkpoint that is damaged or of another experiment. It is read as data, never as code."""
        path = Path(path)
        check_record(path, AGAIN)
        try:
            checkpoint = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
            reason = str(error).strip().split(". ")[0]
            raise ValueError(
                f"{path} is no checkpoint of ours, which hold numbers and no code ({reason}): {AGAIN}"
            ) from error
        if checkpoint.get("experiment") != self.experiment:
            raise ValueError(
                f"{path} is of another experiment ({str(checkpoint.get('experiment'))[:12]}, this one is "
                f"{self.experiment[:12]}): move it away, or give the settings that it was made with"
            )
        return checkpoint

    def remove_checkpoint(self, path: str | Path) -> None:
        for file in (Path(path), record_of(Path(path))):
            file.unlink(missing_ok=True)


def check_architecture(found: Mapping[str, torch.Tensor], expected: Mapping[str, torch.Tensor]) -> None:
    """Raise ValueError, naming the first tensor, unless a checkpoint's weights have these names and shapes."""
    shapes = [{name: tuple(tensor.shape) for name, tensor in weights.items()} for weights in (found, expected)]
    wrong = sorted(name for name in shapes[0].keys() | shapes[1].keys() if shapes[0].get(name) != shapes[1].get(name))
    if wrong:
        raise ValueError(
            f"the checkpoint is of another architecture: {len(wrong)} tensors differ, first {wrong[0]} "
            f"({shapes[0].get(wrong[0])}, here {shapes[1].get(wrong[0])}); move it away to begin anew"
        )


def random_state() -> dict[str, Any]:
    """The state of every global generator, as plain data and tensors."""
    name, keys, *rest = np.random.get_state(legacy=True)
    state = {
        "torch": torch.get_rng_state(),
        "python": random.getstate(),
        "numpy": [name, np.asarray(keys).tolist(), *rest],
    }
    return state | ({"cuda": torch.cuda.get_rng_state()} if torch.cuda.is_available() else {})


def set_random_state(state: dict[str, Any]) -> None:
    """What `random_state` gave, on this machine's devices."""
    torch.set_rng_state(state["torch"])
    random.setstate(state["python"])
    name, keys, *rest = state["numpy"]
    np.random.set_state((name, np.array(keys, dtype=np.uint32), *rest))
    if torch.cuda.is_available() and "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"])


class Checkpoints(Checkpoint):
    """Saves after every `every` steps, at the end, and when a signal asks to stop; keeps the last `keep`.

    Where a validation is due, the checkpoint follows it: a training that goes on from there repeats or lacks none.
    """

    def __init__(self, folder: Path, *, every: int, validate_every: int, steps: int, keep: int, stop: StopSignal):
        for name, value in (("checkpoint_every", every), ("validate_every", validate_every), ("keep", keep)):
            if value < 1:
                raise ValueError(f"trainer.{name} ({value}) must be at least 1")
        self.folder, self.every, self.validate_every = folder, every, validate_every
        self.steps, self.keep, self.stop = steps, keep, stop
        self._step = 0
        self._random: dict[str, Any] | None = None

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        checkpoint["random"] = random_state()

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        self._random = checkpoint["random"]

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._step = trainer.global_step
        self.stop.listen()  # here: Lightning has set its own handlers by now, which save nothing
        if self._random is not None:
            set_random_state(self._random)

    def on_train_batch_end(self, trainer: pl.Trainer, *args: Any) -> None:
        if trainer.global_step == self._step:
            return  # gradients are being accumulated
        self._step = trainer.global_step
        self.stop.agree(trainer)
        if self._step % self.validate_every:
            self._save(trainer)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.state.fn == "fit" and not trainer.sanity_checking:
            self.stop.agree(trainer)
            self._save(trainer)

    def _save(self, trainer: pl.Trainer) -> None:
        if self._step % self.every == 0 or self._step == self.steps or self.stop.asked:
            trainer.save_checkpoint(checkpoint_path(self.folder, self._step))
            for old in checkpoints_in(self.folder)[: -self.keep]:
                trainer.strategy.remove_checkpoint(old)
        self.stop.leave_if_asked(trainer)
