"""How fast a training step is, part by part, and against the bare forward and backward of the same modules."""

import resource
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from src.benchmarks.clock import peak_gib, waited
from src.data.datamodule import Photos
from src.diffusion import add_noise, denoising_loss
from src.learning.pretrain import Draws, Pretrain, draws_for
from src.learning.trainer import Trainer

Batch = Mapping[str, Tensor]  # image, or mean, std and vision


def bare_step(module: Pretrain, batch: Batch, draws: Draws) -> dict[str, float]:
    """One forward and backward without anything around it: seconds by part, in their order.

    The gradient passes the U-Net, then the text encoder, then PromptNet, so each one's arrival ends a part.
    """
    base, promptnet = module.base, module.net
    promptnet.zero_grad(set_to_none=True)
    times = {"": waited(module.device)}

    def lap(part: str) -> None:
        times[part] = waited(module.device)

    if "image" in batch:
        with torch.no_grad():
            mean, std = base.posterior(batch["image"])
            lap("VAE")
            vision = base.see(batch["image"])
            lap("vision encoder")
    else:
        mean, std, vision = batch["mean"], batch["std"], batch["vision"]
    x_ref, x_0 = (mean + std * draws[name] for name in ("z_reference", "z_target"))
    x_t = add_noise(x_0, draws["eps"], draws["t"], base.noise_levels)
    pseudo = promptnet(x_t, draws["t"], x_ref, vision)
    lap("PromptNet forward")
    text = base.text([module.prompt] * len(x_t), pseudo, pad=False)
    lap("text encoder forward")
    predicted = base.predict_noise(x_t, draws["t"], text)
    lap("U-Net forward")
    text.register_hook(lambda gradient: lap("U-Net backward"))
    pseudo.register_hook(lambda gradient: lap("text encoder backward"))
    denoising_loss(predicted, draws["eps"]).backward()
    lap("PromptNet backward")
    return {part: end - start for (_, start), (part, end) in pairwise(times.items())}


class _Enough(Exception):
    """All steps that are to be measured are over."""


class _Watched(Dataset[Any]):
    """The same few items at every step; `starts` are the times at which a step asked for the first of them.

    Raises _Enough when the step after the last of `steps` begins.
    """

    def __init__(self, items: Sequence[Any], steps: int):
        self.items, self.steps, self.starts, self._reads = items, steps, list[float](), 0

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Any:
        if self._reads % len(self.items) == 0:
            self.starts.append(time.perf_counter())
            if len(self.starts) > self.steps:
                raise _Enough
        self._reads += 1
        return self.items[index]


def training_seconds(module: Pretrain, items: Sequence[Any], steps: int, **settings: Any) -> list[float]:
    """Seconds of each step of the real training on these items, all in one batch; the first two are left out.

    settings: of src.learning.trainer.Trainer. What is between two steps (loading, logging) is counted. The training is
    left before its end, since at Stable Diffusion 2's size a checkpoint takes longer than all that is measured.
    """
    watched = _Watched(items, steps + 2)
    data = Photos(train=watched, validation=list(items)[:1], total_batch=len(items), batch=len(items))  # type: ignore[arg-type]
    never = steps + 4
    with tempfile.TemporaryDirectory() as folder, suppress(_Enough):
        trainer = Trainer(steps=never, checkpoint_every=never, validate_every=never, **settings)
        quiet: dict[str, Any] = dict.fromkeys(("log", "show"), lambda told: None)
        trainer(module, data, folder=Path(folder), experiment="bench", **quiet)
    return [later - earlier for earlier, later in zip(watched.starts[2:], watched.starts[3:], strict=False)]


def bare_seconds(module: Pretrain, items: Sequence[Any], steps: int, precision: str) -> list[dict[str, float]]:
    """`bare_step` on the batch of these items, after one that is not counted."""
    device = module.base.device
    batch = {name: torch.stack([item[name] for item in items]).to(device) for name in items[0]}
    module.to(device).train()
    found = []
    with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16-mixed"):
        for step in range(steps + 1):
            draws = draws_for(module.base, 0, step, range(len(items)), low_third=1 / 3, device=device)
            found.append(bare_step(module, batch, draws))
    return found[1:]


def measure(
    build: Callable[[], Pretrain], items: Sequence[Any], *, steps: int, precision: str, **settings: Any
) -> dict[str, Any]:
    """Images a second, the share of each part of the bare step, peak memory, and the ratio of training to bare step.

    build: a new module on the device of the training. items: photos [3, H, W], or rows of a latent cache.
    The bare step is measured before and after the training: the machine may have got slower.
    """
    module = build()
    before = bare_seconds(module, items, steps, precision)
    seconds = training_seconds(module, items, steps, precision=precision, **settings)
    bare = [*before, *bare_seconds(module, items, steps, precision)]
    whole = median(sum(parts.values()) for parts in bare)
    shares = {part: median(parts[part] for parts in bare) / whole for part in bare[0]}
    return {
        "images_per_second": len(items) / median(seconds),
        "step_seconds": median(seconds),
        "bare_seconds": whole,
        "ratio": median(seconds) / whole,
        "shares": shares,
        "peak_gib": peak_gib(module.base.device) or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
    }
