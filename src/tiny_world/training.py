"""One small resumable training loop for every net of the embedded world."""

from __future__ import annotations

import json
import os
import pickle
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

SAVE_EVERY = 250  # steps
LOG_EVERY = 50


def learning_rate(step: int, steps: int, *, peak: float, warmup: int = 200, decay_from: float = 0.6) -> float:
    """Warm up, stay, then fall linearly to a hundredth over the last part of the run."""
    rise = min(1.0, (step + 1) / warmup)
    start = decay_from * steps
    fall = 1.0 if step < start else 1 - 0.99 * (step - start) / max(1.0, steps - start)
    return peak * rise * fall


def fit(
    net: nn.Module,
    loss: Callable[[Any, torch.Generator], tuple[Tensor, Mapping[str, Tensor]]],
    *,
    checkpoint: Path,
    steps: int,
    peak_lr: float,
    seed: int,
    ema_decay: float = 0.999,
    weight_decay: float = 0.01,
    decay_from: float = 0.6,
) -> dict[str, Any]:
    """Train `net` until `steps`, resuming from `checkpoint`, and leave the averaged weights in it.

    `loss` draws all its randomness from the generator it is given, a pure function of (seed, step): a run that was
    stopped ends as one that was not. Returns steps, wall seconds and the last losses, for the manifest.
    """
    average = AveragedModel(net, multi_avg_fn=_moving_average(ema_decay), use_buffers=True)
    settings: dict[str, Any] = {"betas": (0.9, 0.99), "weight_decay": weight_decay, "fused": True}
    optimizer = torch.optim.AdamW(net.parameters(), lr=peak_lr, **settings)
    state = _resume(checkpoint, net, average, optimizer)
    net.train()
    started, wall, recent = time.monotonic(), state["wall_s"], state["log"]
    for step in range(state["step"], steps):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, steps, peak=peak_lr, decay_from=decay_from)
        value, parts = loss(net, torch.Generator().manual_seed(seed * 1_000_003 + step))
        if not torch.isfinite(value):
            raise ValueError(f"{checkpoint.stem}: the loss is {value.item()} at step {step}: lower the learning rate")
        optimizer.zero_grad(set_to_none=True)
        value.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        average.update_parameters(net)
        if (step + 1) % LOG_EVERY == 0 or step + 1 == steps:
            recent = {"loss": value.item(), **{k: float(v) for k, v in parts.items()}}
            seconds = wall + time.monotonic() - started
            print(
                json.dumps({"stage": checkpoint.stem, "step": step + 1, "of": steps, "s": round(seconds), **recent}),
                flush=True,
            )
        if (step + 1) % SAVE_EVERY == 0 or step + 1 == steps:
            progress = {**state, "step": step + 1, "wall_s": wall + time.monotonic() - started, "log": recent}
            _save(checkpoint, net, average, optimizer, progress)
            state = progress
    net.load_state_dict(average.module.state_dict())
    net.eval()
    report = {"steps": state["step"], "wall_s": round(state["wall_s"]), "seed": seed, "last": state["log"]}
    return report | ({"start": state["start"]} if state["start"] else {})


def _moving_average(decay: float) -> Callable[..., None]:
    """An exponential moving average that forgets the first steps: its decay rises to `decay` as (1 + n) / (10 + n)."""

    @torch.no_grad()
    def update(averages: Sequence[Tensor], values: Sequence[Tensor], number: Tensor) -> None:
        keep = min(decay, (1 + float(number)) / (10 + float(number)))
        for average, value in zip(averages, values, strict=True):
            if average.is_floating_point():
                average.lerp_(value, 1 - keep)
            else:
                average.copy_(value)

    return update


def _save(path: Path, net: nn.Module, average: nn.Module, optimizer: torch.optim.Optimizer, progress: dict) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(".tmp")
    torch.save(
        {
            "net": net.state_dict(),
            "average": average.state_dict(),
            "optimizer": optimizer.state_dict(),
            **progress,
        },
        beside,
    )
    os.replace(beside, path)


def _saved(path: Path) -> dict[str, Any]:
    """What a stage has written. ValueError for a file that is damaged, or holds more than numbers."""
    try:
        return torch.load(path, weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        reason = str(error).strip().split(". ")[0]
        raise ValueError(f"{path} is no checkpoint of a stage ({reason}): delete it to begin anew") from error


def _resume(path: Path, net: nn.Module, average: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    if not path.exists():
        return {"step": 0, "wall_s": 0.0, "log": {}, "start": ""}
    saved = _saved(path)
    net.load_state_dict(saved["net"])
    average.load_state_dict(saved["average"])
    if saved["optimizer"]:
        optimizer.load_state_dict(saved["optimizer"])
    return {key: saved[key] for key in ("step", "wall_s", "log", "start")}


def write_start(path: Path, net: nn.Module, start: str) -> None:
    """A checkpoint at step 0 that begins with these weights and an optimiser that has seen nothing.

    start: where the weights come from, for the report.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    weights = {"net": net.state_dict(), "average": AveragedModel(net).state_dict(), "optimizer": {}}
    torch.save({**weights, "step": 0, "wall_s": 0.0, "log": {}, "start": start}, path)


def averaged(net: nn.Module, path: Path, only: str = "") -> nn.Module:
    """`net` with the averaged weights of a checkpoint, finished or not; `only` keeps the names that begin so.

    Raises:
        FileNotFoundError: the stage that writes the checkpoint has not run.
    """
    if not path.exists():
        raise FileNotFoundError(f"{path} is missing: run `python -m src.build_tiny_world stage={path.stem}` first")
    saved = _saved(path)["average"]
    net.load_state_dict({k.removeprefix("module."): v for k, v in saved.items() if k.startswith(f"module.{only}")})
    return net.eval().requires_grad_(False)
