"""One small resumable training loop for every net of the embedded world, on any device.

Lightning's trainer serves PromptNet; here a step is a few milliseconds, and a trainer around it would cost as much.
"""

from __future__ import annotations

import json
import os
import pickle
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.optim.swa_utils import AveragedModel

SAVE_EVERY = 60.0  # seconds
LOG_EVERY = 50  # steps; a loss is looked at, and a GPU waited for, no more often
AVERAGE_EVERY = 4  # steps: on a GPU each update waits for the step at hand


@dataclass(frozen=True)
class Budget:
    """How long a net is trained: `steps`, or `minutes` of wall time (all sittings together), whichever ends first.

    minutes: None, the steps alone. A run without minutes is a pure function of its seed on one kind of device.
    """

    steps: int
    minutes: float | None = None

    def __post_init__(self) -> None:
        if self.minutes is not None and self.minutes <= 0:
            raise ValueError(f"minutes ({self.minutes}) must be above 0, or null: the steps alone")

    def spent(self, step: int, seconds: float) -> float:
        """The share of the budget that is over, in [0, 1]."""
        of_time = 0.0 if self.minutes is None else seconds / (60 * self.minutes)
        return min(1.0, max(1.0 if step >= self.steps else step / self.steps, of_time))


def learning_rate(step: int, spent: float, *, peak: float, warmup: int = 200, decay_from: float = 0.6) -> float:
    """Warm up, stay, then fall linearly to a hundredth over the last part of the budget; spent in [0, 1]."""
    rise = min(1.0, (step + 1) / warmup)
    fall = 1.0 if spent < decay_from else 1 - 0.99 * (spent - decay_from) / (1 - decay_from)
    return peak * rise * fall


def fit(
    net: nn.Module,
    loss: Callable[[Any, torch.Generator], tuple[Tensor, Mapping[str, Tensor]]],
    *,
    checkpoint: Path,
    budget: Budget,
    peak_lr: float,
    seed: int,
    device: torch.device | str = "cpu",
    draws: torch.device | str = "cpu",
    ema_decay: float = 0.999,
    weight_decay: float = 0.01,
    decay_from: float = 0.6,
    probe: Callable[[Any], Mapping[str, float]] | None = None,
) -> dict[str, Any]:
    """Train `net` on `device` until the budget is spent, resuming from `checkpoint`; it ends with averaged weights.

    `loss` draws all its randomness from the generator it is given, which lives on the device `draws` and is a pure
    function of (seed, step): a run that was stopped ends as one that was not. `probe` is asked at every log line.
    Returns steps, wall seconds, device and the last losses, for the manifest.
    """
    device = torch.device(device)
    net.to(device)
    average = AveragedModel(net, multi_avg_fn=_moving_average(ema_decay**AVERAGE_EVERY), use_buffers=True)
    optimizer = _adamw(net, peak_lr, weight_decay, device)
    state = _resume(checkpoint, net, average, optimizer)
    net.train()
    started, saved_at = time.monotonic() - state["wall_s"], time.monotonic()
    step, spent = state["step"], budget.spent(state["step"], state["wall_s"])
    while spent < 1:
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, spent, peak=peak_lr, decay_from=decay_from)
        value, parts = loss(net, torch.Generator(draws).manual_seed(seed * 1_000_003 + step))
        _descend(net, optimizer, value)
        step += 1
        if step % AVERAGE_EVERY == 0:
            average.update_parameters(net)
        spent = budget.spent(step, time.monotonic() - started)
        save = spent >= 1 or time.monotonic() - saved_at > SAVE_EVERY
        if step % LOG_EVERY == 0 or save:
            state |= {
                "step": step,
                "wall_s": time.monotonic() - started,
                "log": _finite(checkpoint, step, value, parts),
            }
            _say(checkpoint, budget, state, {} if probe is None else probe(net))
        if save:
            _save(checkpoint, net, average, optimizer, state)
            saved_at = time.monotonic()
    net.load_state_dict(average.module.state_dict())
    net.eval()
    return _report(state) | {"seed": seed, "device": device.type}


def _adamw(net: nn.Module, lr: float, weight_decay: float, device: torch.device) -> torch.optim.Optimizer:
    fused = device.type != "mps"
    return torch.optim.AdamW(net.parameters(), lr=lr, betas=(0.9, 0.99), weight_decay=weight_decay, fused=fused)


def _report(state: Mapping[str, Any]) -> dict[str, Any]:
    """What the manifest says of a training."""
    report = {"steps": state["step"], "wall_s": round(state["wall_s"]), "last": state["log"]}
    return report | ({"start": state["start"]} if state["start"] else {})


def _descend(net: nn.Module, optimizer: torch.optim.Optimizer, value: Tensor) -> None:
    """One step down the loss, its gradient clipped to norm 1."""
    optimizer.zero_grad(set_to_none=True)
    value.backward()
    nn.utils.clip_grad_norm_(net.parameters(), 1.0)
    optimizer.step()


@contextmanager
def mixed(device: torch.device) -> Iterator[None]:
    """bfloat16 where it is safe; on a CPU the mathematical attention, whose backward pass is the faster one there."""
    with (
        torch.autocast(device.type, torch.bfloat16),
        sdpa_kernel(SDPBackend.MATH) if device.type == "cpu" else nullcontext(),
    ):
        yield


def _finite(checkpoint: Path, step: int, value: Tensor, parts: Mapping[str, Tensor]) -> dict[str, float]:
    """The losses of this step as numbers. ValueError if the loss is not finite: nothing of it has been kept."""
    if not torch.isfinite(value):
        raise ValueError(
            f"{checkpoint.stem}: the loss is {value.item()} at step {step}: go on from {checkpoint} with a lower rate"
        )
    return {"loss": value.item(), **{k: float(v) for k, v in parts.items()}}


def _say(checkpoint: Path, budget: Budget, state: Mapping[str, Any], probed: Mapping[str, float]) -> None:
    line = {"stage": checkpoint.stem, "step": state["step"], "of": budget.steps, "s": round(state["wall_s"])}
    print(json.dumps({**line, **state["log"], **{k: round(v, 6) for k, v in probed.items()}}), flush=True)


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
        return torch.load(path, map_location="cpu", weights_only=True)
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
