"""What a training tells the world: rows for the run's folder, and pictures at every validation."""

from argparse import Namespace
from collections.abc import Callable, Mapping
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.loggers.logger import Logger
from pytorch_lightning.utilities import rank_zero_only


class RowLogger(Logger):
    """Hands every row of metrics to `write`, in the first process alone."""

    def __init__(self, write: Callable[[Mapping[str, Any]], None]):
        super().__init__()
        self.write = write

    @property
    def name(self) -> str:
        return "run"

    @property
    def version(self) -> str:
        return ""

    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """The run's folder holds the configuration already."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        values = {name: float(value) for name, value in metrics.items() if name != "epoch"}
        self.write({"step": step, **values})


class Preview(pl.Callback):
    """Calls `show(step)` at the end of every validation, in the first process, while averaged weights are in place."""

    def __init__(self, show: Callable[[int], None]):
        self.show = show

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.is_global_zero and not trainer.sanity_checking:
            self.show(trainer.global_step)
