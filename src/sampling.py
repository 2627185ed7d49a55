"""Samplers: pure functions over `noise(x, t, conditions)`, with the randomness as an argument."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from src.diffusion import RandnLike, Schedule, ddim_step, renoise, sent


@dataclass(frozen=True)
class Condition:
    """What a noise prediction is conditioned on.

    prompt: the text, with or without the placeholder S*.
    photo: index of the reference photo that S* stands for; None where the prompt has no S*.
    gamma: the influence of S*, in [0, 1]; what is scaled is `blend`'s affair.
    blend: "position" multiplies the output text state at S* (the paper's gamma); "interpolate" goes from the
        generic prompt's text state (gamma = 0) to the joint prompt's (gamma = 1) at all positions.
    """

    prompt: str
    photo: int | None = None
    gamma: float = 1.0
    blend: Literal["position", "interpolate"] = "position"

    def __post_init__(self) -> None:
        if not 0 <= self.gamma <= 1:
            raise ValueError(f"gamma ({self.gamma}) must be in [0, 1]")
        if self.blend not in ("position", "interpolate"):
            raise ValueError(f'blend ({self.blend!r}) must be "position" or "interpolate"')


NULL = Condition("")  # the unconditional prediction

# a condition for all images of a batch, or a tuple of one for each, which differ by their prompts alone
Conditions = Condition | tuple[Condition, ...]
# (x [B,C,h,w], t 0-dim int64, conditions) -> one eps [B,C,h,w] for each condition, in ONE batched U-Net call
Noise = Callable[[Tensor, Tensor, Sequence[Conditions]], Sequence[Tensor]]
Terms = Sequence[tuple[Conditions, float]]


def guided_noise(noise: Noise, x: Tensor, t: Tensor, terms: Terms) -> Tensor:
    """Composed guidance, eps(NULL) + sum_i w_i (eps(c_i) - eps(NULL)), over one or more terms (c_i, w_i)."""
    if not terms:
        raise ValueError("terms (none) must hold at least one (condition, weight)")
    conditions, weights = zip(*terms, strict=True)
    null, *each = noise(x, t, [NULL, *conditions])
    assert len(each) == len(terms), f"noise gave {len(each)} predictions for {len(terms)} conditions"
    guided = null
    for weight, eps in zip(weights, each, strict=True):
        guided = guided + weight * (eps - null)
    return guided


def fusion_sample(
    noise: Noise,
    x: Tensor,
    schedule: Schedule,
    *,
    joint: Terms,
    separate: Terms,
    fusion_steps: int,
    fusion_eta: float,
    eta: float,
    randn_like: RandnLike,
) -> Tensor:
    """Fusion Sampling (Zhou et al. 2023): at every t a fusion and a refinement stage. x [B,C,h,w] -> latents.

    joint: terms of the fusion stage, the joint condition (gamma S*, C); unused where fusion_steps = 0.
    separate: terms of the refinement stage, S*, C, ... as independent conditions.
    fusion_steps: fusion moves at each t (the paper's m), >= 0; none where alpha_bar at t_prev is 1.
    fusion_eta: the fusion moves' noise as a share of the DDIM posterior's (the paper's r), in [0, 1].
    eta: DDIM noise of the refinement step, in [0, 1].
    randn_like: called once for each fusion move, and once for each refinement step if eta > 0.
    Raises ValueError for a setting out of range.
    """
    if fusion_steps < 0:
        raise ValueError(f"fusion_steps ({fusion_steps}) must be 0 or more")
    if not 0 <= fusion_eta <= 1:
        raise ValueError(f"fusion_eta ({fusion_eta}) must be in [0, 1]")
    if not 0 <= eta <= 1:
        raise ValueError(f"eta ({eta}) must be in [0, 1]")
    for t, t_prev in schedule.steps():
        time = torch.full((), t, device=x.device)  # filled there, where a copy would wait
        for _ in range(fusion_steps if schedule.alpha_bar_at(t_prev) < 1 else 0):
            x = renoise(x, guided_noise(noise, x, time, joint), schedule, t, t_prev, fusion_eta, randn_like)
        x = ddim_step(x, guided_noise(noise, x, time, separate), schedule, t, t_prev, eta, randn_like)
    return x


def seeded_randn_like(seeds: Sequence[int]) -> RandnLike:
    """A randn_like for x [len(seeds), ...] with one generator for each seed.

    An image then does not depend on the batch it is made in. The noise is drawn on the CPU in float32: it is
    the same on every device and in every precision. Successive calls give successive draws.
    """
    generators = [torch.Generator().manual_seed(int(seed)) for seed in seeds]

    def randn_like(x: Tensor) -> Tensor:
        assert len(x) == len(generators), f"x has {len(x)} rows for {len(generators)} seeds"
        draws = torch.stack([torch.randn(x.shape[1:], generator=g) for g in generators])
        return sent(draws, x.device).to(x)

    return randn_like
