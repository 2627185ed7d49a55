"""Photos for training: which photo is in which batch is a pure function of (seed, step, slot)."""

from collections.abc import Iterator

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler


class StepBatches(Sampler[list[int]]):
    """Batches of photo numbers for steps `first` to `steps` - 1; each epoch visits every photo once, shuffled anew."""

    def __init__(self, photos: int, batch: int, *, steps: int, first: int = 0, seed: int = 0):
        if batch > photos:
            raise ValueError(f"data.batch ({batch}) must be at most the number of photos ({photos})")
        self.photos, self.batch, self.steps, self.first, self.seed = photos, batch, steps, first, seed

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[list[int]]:
        epoch, order = -1, torch.empty(0)
        for step in range(self.first, self.steps):
            numbers = []
            for place in range(step * self.batch, (step + 1) * self.batch):
                if place // self.photos != epoch:
                    epoch = place // self.photos
                    order = torch.randperm(self.photos, generator=torch.Generator().manual_seed(self.seed + epoch))
                numbers.append(int(order[place % self.photos]))
            yield numbers


class Photos(pl.LightningDataModule):
    """Training and validation photos [B, 3, H, W] in [-1, 1]."""

    def __init__(
        self,
        *,
        train: Dataset[Tensor],
        validation: Dataset[Tensor],
        batch: int,
        seed: int = 0,
        workers: int = 0,
    ):
        super().__init__()
        self.train, self.validation = train, validation
        self.batch, self.seed, self.workers = batch, seed, workers

    def train_dataloader(self) -> DataLoader[Tensor]:
        """Begins at the trainer's current step, so that a resumed run goes on with the batch that comes next."""
        assert self.trainer is not None
        steps = StepBatches(
            len(self.train),  # type: ignore[arg-type]
            self.batch,
            steps=self.trainer.max_steps,
            first=self.trainer.global_step,
            seed=self.seed,
        )
        return DataLoader(self.train, batch_sampler=steps, num_workers=self.workers)

    def val_dataloader(self) -> DataLoader[Tensor]:
        return DataLoader(self.validation, batch_size=self.batch)
