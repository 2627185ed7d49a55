"""Lightning's trainer as this project uses it: one epoch of `steps` steps, resumable from its own checkpoints."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import ModelCheckpoint, TQDMProgressBar

from src.learning.callbacks import Preview, RowLogger


def train(
    module: pl.LightningModule,
    data: pl.LightningDataModule,
    *,
    folder: Path,
    steps: int,
    checkpoint_every: int,
    validate_every: int,
    log: Callable[[Mapping[str, Any]], None],
    show: Callable[[int], None],
    resume: bool = True,
    gradient_clip: float = 1.0,
    precision: str = "32-true",
    accelerator: str = "auto",
    devices: int | str = "auto",
    validation_batches: int = 4,
) -> dict[str, float]:
    """Train to `steps`, going on from folder/checkpoints/last.ckpt if it is there; returns the last validation.

    `log` gets every row of metrics, `show` the step at every validation.
    """
    saver = ModelCheckpoint(
        folder / "checkpoints", save_last=True, every_n_train_steps=checkpoint_every, filename="{step}"
    )
    trainer = pl.Trainer(
        max_steps=steps,
        logger=RowLogger(log),
        callbacks=[saver, Preview(show), TQDMProgressBar(refresh_rate=10)],
        gradient_clip_val=gradient_clip,
        precision=precision,  # type: ignore[arg-type]
        accelerator=accelerator,
        devices=devices,
        val_check_interval=min(validate_every, steps),
        limit_val_batches=validation_batches,
        num_sanity_val_steps=0,
        log_every_n_steps=10,
        use_distributed_sampler=False,
        enable_model_summary=False,
    )
    last = folder / "checkpoints" / "last.ckpt"
    trainer.fit(module, data, ckpt_path=str(last) if resume and last.exists() else None, weights_only=True)
    validation = trainer.validate(module, data, verbose=False)[0]
    return {name: float(value) for name, value in validation.items()}
