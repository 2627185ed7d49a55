"""Photos for training: which photo is in which place of which step is a pure function of (seed, step, slot).

A batch is a dict: id [B] (number of the photo), slot [B] (place in the global batch), both int64, and either
image [B, 3, H, W] in [-1, 1] or, where the data set is a latent cache, mean and std [B, C, h, w] and vision [B, N, Dv].
"""

import signal
from collections.abc import Iterator, Sequence
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

MOST_SLOTS = 4_099  # the noise of a slot is seeded with step * 4,099 + slot (src.learning.pretrain)


def shared_batch(total: int, devices: int, most: int) -> tuple[int, int]:
    """(photos in one forward pass of one device, passes before a step), so that their product is the total batch.

    total: photos of a step on all devices together. most: what fits into a device's memory at once.
    """
    if not 1 <= total <= MOST_SLOTS or most < 1:
        raise ValueError(f"data.total_batch ({total}) must be in [1, {MOST_SLOTS}] and data.batch ({most}) at least 1")
    if total % devices:
        raise ValueError(
            f"data.total_batch ({total}) cannot be shared equally by {devices} devices: choose another trainer.devices"
        )
    share = total // devices
    batch = max(size for size in range(1, min(most, share) + 1) if share % size == 0)
    return batch, share // batch


class StepBatches(Sampler[list[tuple[int, int]]]):
    """(photo number, slot) for steps `first` to `steps` - 1; each epoch visits every photo once, shuffled anew.

    One of `ranks` processes gets every step's total batch in `accumulation` parts, of which it takes its own share.
    """

    def __init__(
        self,
        photos: int,
        total: int,
        *,
        steps: int,
        first: int = 0,
        seed: int = 0,
        rank: int = 0,
        ranks: int = 1,
        accumulation: int = 1,
    ):
        if total > photos:
            raise ValueError(f"data.total_batch ({total}) must be at most the number of photos ({photos})")
        self.photos, self.total, self.steps, self.first, self.seed = photos, total, steps, first, seed
        self.rank, self.ranks, self.accumulation = rank, ranks, accumulation

    def __len__(self) -> int:
        return self.steps * self.accumulation

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        size = self.total // (self.ranks * self.accumulation)
        for step in range(self.first, self.steps):
            numbers = self._numbers(step)
            for part in range(self.accumulation):
                start = (part * self.ranks + self.rank) * size
                yield [(numbers[slot], slot) for slot in range(start, start + size)]

    def _numbers(self, step: int) -> list[int]:
        """The photo of every slot of a step."""
        places = range(step * self.total, (step + 1) * self.total)
        return [int(self._order(place // self.photos)[place % self.photos]) for place in places]

    def _order(self, epoch: int) -> Tensor:
        if getattr(self, "_epoch", None) != epoch:
            generator = torch.Generator().manual_seed(self.seed + epoch)
            self._epoch, self._shuffled = epoch, torch.randperm(self.photos, generator=generator)
        return self._shuffled


class _Placed(Dataset[dict[str, Any]]):
    """Items of a data set, asked for by (number, slot), as rows of a batch."""

    def __init__(self, items: Dataset[Any]):
        self.items = items

    def __getitem__(self, place: tuple[int, int]) -> dict[str, Any]:
        number, slot = place
        return {"id": number, "slot": slot, **self.items[number]}


AHEAD = 4  # batches that each worker reads before they are asked for


class Photos(pl.LightningDataModule):
    """Training and validation batches.

    total_batch: photos of one optimiser step, on all devices together. batch: the most that one device takes at once.
    """

    def __init__(
        self,
        *,
        train: Dataset[Any],
        validation: Dataset[Any],
        total_batch: int,
        batch: int,
        seed: int = 0,
        workers: int = 0,
    ):
        super().__init__()
        self.train, self.validation = train, validation
        self.total_batch, self.batch, self.seed, self.workers = total_batch, batch, seed, workers
        self.validation_photos: int | None = None  # how many of them count; None: all

    def names(self, numbers: Sequence[int]) -> list[str]:
        """What the training photos of these numbers are called: their number, and their name if they have one."""
        names = getattr(self.train, "names", None)
        return [f"{number} ({names[number]})" if names else str(number) for number in numbers]

    def train_dataloader(self) -> DataLoader[Any]:
        """Begins at the trainer's current step, so that a resumed run goes on with the batch that comes next."""
        assert self.trainer is not None
        steps = StepBatches(
            len(self.train),  # type: ignore[arg-type]
            self.total_batch,
            steps=self.trainer.max_steps,
            first=self.trainer.global_step,
            seed=self.seed,
            rank=self.trainer.global_rank,
            ranks=self.trainer.world_size,
            accumulation=self.trainer.accumulate_grad_batches,
        )
        return self._loader(self.train, steps)

    def val_dataloader(self) -> DataLoader[Any]:
        """The first `validation_photos`, which the devices share."""
        assert self.trainer is not None
        count = len(range(len(self.validation))[: self.validation_photos])  # type: ignore[arg-type]
        ranks, size = self.trainer.world_size, min(self.batch, self.total_batch)
        if count < ranks:
            raise ValueError(f"{count} validation photos are too few for {ranks} devices: give more of them")
        indices = [(number, number) for number in range(self.trainer.global_rank, count, ranks)]
        return self._loader(self.validation, [indices[k : k + size] for k in range(0, len(indices), size)])

    def _loader(self, items: Dataset[Any], batches: Any) -> DataLoader[Any]:
        """Its generator is its own: the global one stays as it is, however often a run is interrupted."""
        return DataLoader(
            _Placed(items),
            batch_sampler=batches,
            num_workers=self.workers,
            prefetch_factor=AHEAD if self.workers else None,
            pin_memory=torch.cuda.is_available(),
            generator=torch.Generator().manual_seed(self.seed),
            worker_init_fn=_deaf,
        )


def _deaf(worker: int) -> None:
    """A signal to all processes (Ctrl-C, a scheduler's) is the first one's to answer, which needs photos until then."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
