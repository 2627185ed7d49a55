"""Lightning's trainer as this project uses it: one epoch of `steps` steps, on any number of devices, resumable."""

import os
from collections.abc import Callable, Mapping
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


def train(
    module: pl.LightningModule,
    data: Photos,
    *,
    folder: Path,
    experiment: str,
    steps: int,
    checkpoint_every: int,
    validate_every: int,
    log: Callable[[Mapping[str, Any]], None],
    show: Callable[[int], None],
    keep: int = 3,
    ema: float | None = None,
    resume: bool = True,
    gradient_clip: float = 1.0,
    precision: str = "32-true",
    accelerator: str = "auto",
    devices: int = 1,
    nodes: int = 1,
    validation_batches: int = 4,
    minutes: float | None = None,
    seed: int = 0,
) -> dict[str, float]:
    """Train to `steps`, going on from the newest checkpoint if there is one; returns the last validation.

    experiment: the digest of what is trained; a checkpoint of another one is refused.
    `log` gets every row of metrics, `show` the step at every validation; both in the first process alone.
    keep: how many checkpoints. ema: decay of the weights' moving average, which the module holds in the end, or None.
    accelerator: "cpu", "cuda", "cuda:1", "mps" or "auto". devices: on each of `nodes` machines; every one of their
        processes runs this.
    validation_batches: total batches of one validation.
    minutes: of wall time, all sittings together, after which a training ends before its `steps`; None: it does not.
    seed: of the global generators, of which a training that goes on takes up the states.
    Raises ValueError for a step that is not finite, SystemExit (143, Ctrl-C: 130) when a signal asks to stop.
    """
    pl.seed_everything(seed, verbose=False)
    if precision == "64-true":
        module.double()  # Lightning does so only after the average has been copied
    checkpoints, stop = make_folder(folder / "checkpoints"), StopSignal()
    start = newest(checkpoints, resume)
    trainer = pl.Trainer(
        max_steps=steps,
        logger=RowLogger(log),
        callbacks=[
            Preview(show),
            *([WeightAveraging(use_buffers=False, multi_avg_fn=get_ema_multi_avg_fn(ema))] if ema else []),
            Checkpoints(
                checkpoints,
                every=checkpoint_every,
                validate_every=min(validate_every, steps),
                steps=steps,
                keep=keep,
                stop=stop,
            ),
            *([Timer({"seconds": round(60 * minutes)})] if minutes else []),
            TQDMProgressBar(refresh_rate=10),
        ],
        plugins=[AtomicCheckpoints(experiment)],
        gradient_clip_val=gradient_clip,
        precision=_checked(precision),
        accelerator=accelerator.partition(":")[0],
        devices=_numbers(accelerator, devices),
        num_nodes=nodes,
        strategy="ddp" if devices * nodes > 1 else "auto",
        num_sanity_val_steps=0,
        log_every_n_steps=10,
        use_distributed_sampler=False,
        enable_model_summary=False,
    )
    data.validation_photos = validation_batches * data.total_batch
    _share(trainer, data, min(validate_every, steps))
    if start == checkpoint_path(checkpoints, steps):  # nothing is left to do but what comes after training
        module.load_state_dict(AtomicCheckpoints(experiment).load_checkpoint(start)["state_dict"])
    else:
        trainer.fit(module, data, ckpt_path=None if start is None else str(start), weights_only=True)
        stop.hand_on()
    validation = trainer.validate(module, data, verbose=False)[0]
    return {name: float(value) for name, value in validation.items()}


def _numbers(accelerator: str, devices: int) -> int | list[int]:
    """How many devices; or, where one that has a number is asked for, that very one."""
    number = accelerator.partition(":")[2]
    return [int(number)] if number and devices == 1 else devices


def _share(trainer: pl.Trainer, data: Photos, validate_every: int) -> None:
    """Divide the total batch among the devices, and say how."""
    batch, accumulation = shared_batch(data.total_batch, trainer.world_size, data.batch)
    trainer.accumulate_grad_batches = accumulation
    trainer.val_check_interval = validate_every * accumulation  # Lightning counts passes
    if trainer.is_global_zero:
        print(
            f"total batch {data.total_batch} = {trainer.world_size} device(s) x {batch} photo(s) x "
            f"{accumulation} accumulated pass(es)",
            flush=True,
        )


def _checked(precision: str) -> Any:
    """No loss scaling: it takes steps whose gradients are not finite for normal."""
    if precision not in PRECISIONS:
        raise ValueError(f"trainer.precision ({precision}) must be one of {', '.join(PRECISIONS)}")
    return precision
