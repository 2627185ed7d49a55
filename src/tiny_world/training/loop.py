"""One small resumable training loop for every net of the embedded world, on any device.

Lightning's trainer serves PromptNet. Around these nets it was measured to add .7 ms (two layers) to 5.5 ms (as many
tensors as a base has) of CPU time to a step, which alone would be no reason. These are: a step draws all that it draws
from (seed, step), so that no loader has a state to be kept; the rate follows steps or minutes, whichever are spent
first, over all sittings; and one file a net is what a training goes on from and what later stages read.
"""

import json
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

from src.learning.muon import Muon
from src.tiny_world.training.checkpoints import resume, save
from src.tiny_world.training.processes import APART, agreed, average_gradients, rank

SAVE_EVERY = 60.0  # seconds
LOG_EVERY = 50  # steps; a loss is looked at, and a GPU waited for, no more often
WARMUP = 200  # steps
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


@dataclass(frozen=True)
class Descent:
    """How a net is optimised: AdamW at a rate that warms up, stays, then falls linearly to a hundredth of its peak.

    decay_from: the share of the budget from which on it falls. ema_decay: of the weights' moving average, a step.
    muon: its hidden matrices by Muon instead, at the same rate.
    """

    peak_lr: float
    weight_decay: float = 0.01
    decay_from: float = 0.6
    ema_decay: float = 0.999
    muon: bool = False

    def rate(self, step: int, spent: float) -> float:
        """The learning rate; spent: the share of the budget that is over, in [0, 1]."""
        rise = min(1.0, (step + 1) / WARMUP)
        fall = 1.0 if spent < self.decay_from else 1 - 0.99 * (spent - self.decay_from) / (1 - self.decay_from)
        return self.peak_lr * rise * fall

    def optimizer(self, net: nn.Module, device: torch.device) -> torch.optim.Optimizer:
        how: dict[str, Any] = {"lr": self.peak_lr, "betas": (0.9, 0.99), "weight_decay": self.weight_decay}
        if self.muon:
            return Muon(net.parameters(), other=[m.weight for m in net.modules() if isinstance(m, nn.Embedding)], **how)
        return torch.optim.AdamW(net.parameters(), fused=device.type != "mps", **how)


def fit(
    net: nn.Module,
    loss: Callable[[Any, torch.Generator], tuple[Tensor, Mapping[str, Tensor]]],
    *,
    checkpoint: Path,
    budget: Budget,
    descent: Descent,
    seed: int,
    device: torch.device | str = "cpu",
    draws: torch.device | str = "cpu",
    probe: Callable[[Any], Mapping[str, float]] | None = None,
) -> dict[str, Any]:
    """Train `net` on `device` until the budget is spent, resuming from `checkpoint`; it ends with averaged weights.

    `loss` draws all its randomness from the generator it is given, which lives on the device `draws` and is a pure
    function of (seed, step): a run that was stopped ends as one that was not. `probe` is asked at every log line.
    Of several processes (torchrun) each draws its own share of a batch; the first one writes.
    Returns steps, wall seconds, device and the last losses, for the manifest.
    """
    device = torch.device(device)
    net.to(device)
    average = AveragedModel(net, multi_avg_fn=_moving_average(descent.ema_decay**AVERAGE_EVERY), use_buffers=True)
    optimizer = descent.optimizer(net, device)
    state = resume(checkpoint, net, average, optimizer)
    net.train()
    started, saved_at = time.monotonic() - state["wall_s"], time.monotonic()
    step, spent = state["step"], budget.spent(state["step"], state["wall_s"])
    while spent < 1:
        for group in optimizer.param_groups:
            group["lr"] = descent.rate(step, spent)
        value, parts = loss(net, torch.Generator(draws).manual_seed((seed + APART * rank()) * 1_000_003 + step))
        _descend(net, optimizer, value)
        step += 1
        if step % AVERAGE_EVERY == 0:
            average.update_parameters(net)
        spent = agreed(budget.spent(step, time.monotonic() - started))
        if rank():
            continue
        due = spent >= 1 or time.monotonic() - saved_at > SAVE_EVERY
        if step % LOG_EVERY == 0 or due:
            log = _finite(checkpoint, step, value, parts)
            state = state | {"step": step, "wall_s": time.monotonic() - started, "log": log}
            _say(checkpoint, budget, state, {} if probe is None else probe(net))
        if due:
            save(checkpoint, net, average, optimizer.state_dict(), state)
            saved_at = time.monotonic()
    net.load_state_dict(average.module.state_dict())
    net.eval()
    return _report(state) | {"seed": seed, "device": device.type}


def _report(state: Mapping[str, Any]) -> dict[str, Any]:
    """What the manifest says of a training."""
    report = {"steps": state["step"], "wall_s": round(state["wall_s"]), "last": state["log"]}
    return report | ({"start": state["start"]} if state["start"] else {})


def _descend(net: nn.Module, optimizer: torch.optim.Optimizer, value: Tensor) -> None:
    """One step down the loss, its gradient clipped to norm 1."""
    optimizer.zero_grad(set_to_none=True)
    value.backward()
    average_gradients(net)
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
