"""Lightning's trainer as this project uses it: one epoch of `steps` steps, on any number of devices, resumable."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Timer, TQDMProgressBar, WeightAveraging
from torch.optim.swa_utils import get_ema_multi_avg_fn

from src.data.datamodule import Photos, shared_batch
from src.files.whole import make_folder
from src.learning.callbacks import Preview, RowLogger
from src.learning.checkpoints import AtomicCheckpoints, Checkpoints, checkpoint_path, newest
from src.learning.stopping import StopSignal

# of a process that torchrun, SLURM or Lightning has started beside the first one, which alone writes
RANKS = ("RANK", "SLURM_PROCID", "LOCAL_RANK", "NODE_RANK")
PRECISIONS = ("32-true", "bf16-mixed", "64-true")


def is_follower() -> bool:
    """Whether another process of this training, the first one, does the writing."""
    return any(int(os.environ.get(name) or 0) > 0 for name in RANKS)


@dataclass(frozen=True, kw_only=True)
class Trainer:
    """How long PromptNet is trained, how exactly, and on which devices; it is called with what is trained.

    keep: how many checkpoints. validation_batches: total batches of one validation.
    minutes: of wall time, all sittings together, after which a training ends before its `steps`; None: it does not.
    ema: decay of the weights' moving average, which the module holds in the end, or None.
    accelerator: "cpu", "cuda", "cuda:1", "mps" or "auto". devices: on each of `nodes` machines; every one of their
        processes calls this.
    """

    steps: int
    checkpoint_every: int
    validate_every: int
    keep: int = 3
    validation_batches: int = 4
    minutes: float | None = None
    ema: float | None = None
    gradient_clip: float = 1.0
    precision: str = "32-true"
    accelerator: str = "auto"
    devices: int = 1
    nodes: int = 1

    def __call__(
        self,
        module: pl.LightningModule,
        data: Photos,
        *,
        folder: Path,
        experiment: str,
        log: Callable[[Mapping[str, Any]], None],
        show: Callable[[int], None],
        resume: bool = True,
        seed: int = 0,
    ) -> dict[str, float]:
        """Train to `steps`, going on from the newest checkpoint if there is one; returns the last validation.

        experiment: the digest of what is trained; a checkpoint of another one is refused.
        `log` gets every row of metrics, `show` the step at every validation; both in the first process alone.
        seed: of the global generators, of which a training that goes on takes up the states.
        Raises ValueError for a step that is not finite, SystemExit (143, Ctrl-C: 130) when a signal asks to stop.
        """
        pl.seed_everything(seed, verbose=False)
        if self.precision == "64-true":
            module.double()  # Lightning does so only after the average has been copied
        checkpoints, stop = make_folder(folder / "checkpoints"), StopSignal()
        start = newest(checkpoints, resume)
        trainer = self._lightning([Preview(show), *self._callbacks(checkpoints, stop)], RowLogger(log), experiment)
        self._share(trainer, data)
        if start == checkpoint_path(checkpoints, self.steps):  # nothing is left to do but what comes after training
            module.load_state_dict(AtomicCheckpoints(experiment).load_checkpoint(start)["state_dict"])
        else:
            trainer.fit(module, data, ckpt_path=None if start is None else str(start), weights_only=True)
            stop.hand_on()
        validation = trainer.validate(module, data, verbose=False)[0]
        return {name: float(value) for name, value in validation.items()}

    @property
    def _validate_every(self) -> int:
        return min(self.validate_every, self.steps)

    def _callbacks(self, checkpoints: Path, stop: StopSignal) -> list[pl.Callback]:
        average = [WeightAveraging(use_buffers=False, multi_avg_fn=get_ema_multi_avg_fn(self.ema))] if self.ema else []
        every = {"every": self.checkpoint_every, "validate_every": self._validate_every}
        timer = [Timer({"seconds": round(60 * self.minutes)})] if self.minutes else []
        kept = Checkpoints(checkpoints, **every, steps=self.steps, keep=self.keep, stop=stop)
        return [*average, kept, *timer, TQDMProgressBar(refresh_rate=10)]

    def _lightning(self, callbacks: list[pl.Callback], logger: RowLogger, experiment: str) -> pl.Trainer:
        return pl.Trainer(
            max_steps=self.steps,
            logger=logger,
            callbacks=callbacks,
            plugins=[AtomicCheckpoints(experiment)],
            gradient_clip_val=self.gradient_clip,
            precision=_checked(self.precision),
            accelerator=self.accelerator.partition(":")[0],
            devices=_numbers(self.accelerator, self.devices),
            num_nodes=self.nodes,
            strategy="ddp" if self.devices * self.nodes > 1 else "auto",
            num_sanity_val_steps=0,
            log_every_n_steps=10,
            use_distributed_sampler=False,
            enable_model_summary=False,
        )

    def _share(self, trainer: pl.Trainer, data: Photos) -> None:
        """Divide the total batch among the devices, and say how."""
        batch, accumulation = shared_batch(data.total_batch, trainer.world_size, data.batch)
        data.validation_photos = self.validation_batches * data.total_batch
        trainer.accumulate_grad_batches = accumulation
        trainer.val_check_interval = self._validate_every * accumulation  # Lightning counts passes
        if trainer.is_global_zero:
            print(
                f"total batch {data.total_batch} = {trainer.world_size} device(s) x {batch} photo(s) x "
                f"{accumulation} accumulated pass(es)",
                flush=True,
            )


def _numbers(accelerator: str, devices: int) -> int | list[int]:
    """How many devices; or, where one that has a number is asked for, that very one."""
    number = accelerator.partition(":")[2]
    return [int(number)] if number and devices == 1 else devices


def _checked(precision: str) -> Any:
    """No loss scaling: it takes steps whose gradients are not finite for normal."""
    if precision not in PRECISIONS:
        raise ValueError(f"trainer.precision ({precision}) must be one of {', '.join(PRECISIONS)}")
    return precision
