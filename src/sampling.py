"""Samplers: pure functions over `noise(x, t, conditions)`, with the randomness as an argument."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from src.diffusion import RandnLike, Schedule, ddim_step, dpmpp_2m_step, eps_of, renoise, sent, x_0_of


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


@dataclass(frozen=True)
class Shortcuts:
    """Approximations that make Fusion Sampling cheaper. By default there are none: the sampler is itself.

    fusion_interval: (low, high), shares of the noise schedule's T timesteps; where t / T lies outside there is no
        fusion stage (a guidance interval, Kynkaanniemi et al. 2024).
    fusion_every: the fusion stage at every k-th of those timesteps, the first among them.
    fusion_eps: "own" asks for the joint condition's prediction; "previous" moves by the x_0 that the refinement stage
        before it had in mind, without asking. The first step has none before it, and asks.
    guidance_every: guidance at every k-th step, in each stage; between, a stage asks for its first term alone and adds
        what guidance added last.
    solver: of the refinement step, "ddim", or "dpmpp_2m" (Lu et al. 2022): of second order, from the step before it,
        which counts only where no fusion stage has moved x_t since.
    word_every: an S* that depends on x_t and t is made anew at every k-th step, and is the same in both stages; None:
        anew in each stage.
    deep_every: the U-Net's deep levels are computed anew at every k-th step, for each stage of its own; between, its
        level of full resolution alone is (DeepCache, Ma et al. 2023).
    precision: "bfloat16": noise is predicted under autocast; None: as the base is.
    The last three are the affair of the noise that is sampled with (src.models.personal).
    """

    fusion_interval: Sequence[float] = (0.0, 1.0)
    fusion_every: int = 1
    fusion_eps: Literal["own", "previous"] = "own"
    guidance_every: int = 1
    solver: Literal["ddim", "dpmpp_2m"] = "ddim"
    word_every: int | None = None
    deep_every: int = 1
    precision: Literal["bfloat16"] | None = None

    def __post_init__(self) -> None:
        if len(self.fusion_interval) != 2 or not 0 <= self.fusion_interval[0] <= self.fusion_interval[1] <= 1:
            given = list(self.fusion_interval)
            raise ValueError(f"fusion_interval ({given}) must be [low, high] with 0 <= low <= high <= 1")
        for name in ("fusion_every", "guidance_every", "word_every", "deep_every"):
            every = getattr(self, name)
            if every is not None and every < 1:
                raise ValueError(f"{name} ({every}) must be at least 1")
        for name, known in WAYS.items():
            if getattr(self, name) not in known:
                listed = " or ".join("null" if each is None else each for each in known)
                raise ValueError(f"{name} ({getattr(self, name)}) must be {listed}")

    def fused(self, schedule: Schedule) -> list[int]:
        """The timesteps of a schedule that have a fusion stage; where alpha_bar at t_prev is 1 there is none."""
        low, high = (share * len(schedule.alpha_bar) for share in self.fusion_interval)
        inside = [t for t, t_prev in schedule.steps() if low <= t <= high and schedule.alpha_bar_at(t_prev) < 1]
        return inside[:: self.fusion_every]


WAYS = {
    "fusion_eps": ("own", "previous"),
    "solver": ("ddim", "dpmpp_2m"),
    "precision": ("bfloat16", None),
}
EXACT = Shortcuts()


def guided_noise(noise: Noise, x: Tensor, t: Tensor, terms: Terms) -> Tensor:
    """Composed guidance, eps(NULL) + sum_i w_i (eps(c_i) - eps(NULL)), over one or more terms (c_i, w_i).

    NULL is not asked for where the weights have the sum 1: it does not matter then.
    """
    return _Stage(terms).predict(noise, x, t, 0)


@dataclass
class _Stage:
    """Guidance by one list of terms over the steps of a run, and what of it is held from an earlier one.

    added: guided eps - eps(c_1), as it was at step `made`.
    """

    terms: Terms
    every: int = 1
    made: int = -1
    added: Tensor | None = None

    def predict(self, noise: Noise, x: Tensor, t: Tensor, step: int) -> Tensor:
        """The guided eps."""
        if not self.terms:
            raise ValueError("terms (none) must hold at least one (condition, weight)")
        conditions, weights = zip(*self.terms, strict=True)
        if self.added is not None and self.every > 1 and step - self.made < self.every:
            (first,) = noise(x, t, conditions[:1])
            return first + self.added
        asks = not math.isclose(sum(weights), 1, abs_tol=1e-9)
        each = noise(x, t, [NULL, *conditions] if asks else conditions)
        assert len(each) == asks + len(weights), f"{len(each)} predictions for {asks + len(weights)} conditions"
        guided = composed(each[0] if asks else None, each[asks:], weights)
        self.made, self.added = step, guided - each[asks]
        return guided


def composed(null: Tensor | None, each: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    """null + sum_i w_i (eps_i - null); null may be None where the weights have the sum 1."""
    guided = torch.zeros_like(each[0]) if null is None else null
    for weight, eps in zip(weights, each, strict=True):
        guided = guided + weight * (eps if null is None else eps - null)
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
    shortcuts: Shortcuts = EXACT,
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
    check_stages(fusion_steps, fusion_eta, eta, shortcuts)
    fusion, refinement = (_Stage(terms, shortcuts.guidance_every) for terms in (joint, separate))
    fused = set(shortcuts.fused(schedule)) if fusion_steps else set()
    before: tuple[Tensor, int] | None = None  # what the step before had in mind as x_0, and its t
    for step, (t, t_prev) in enumerate(schedule.steps()):
        time = torch.full((), t, device=x.device)  # filled there, where a copy would wait
        for _ in range(fusion_steps if t in fused else 0):
            if shortcuts.fusion_eps == "previous" and before is not None:
                eps = eps_of(x, before[0], schedule, t)
            else:
                eps = fusion.predict(noise, x, time, step)
            x = renoise(x, eps, schedule, t, t_prev, fusion_eta, randn_like)
        eps = refinement.predict(noise, x, time, step)
        now = (x_0_of(x, eps, schedule, t), t)
        if shortcuts.solver == "dpmpp_2m":
            x = dpmpp_2m_step(x, eps, schedule, t, t_prev, None if t in fused else before)
        else:
            x = ddim_step(x, eps, schedule, t, t_prev, eta, randn_like)
        before = now
    return x


def check_stages(fusion_steps: int, fusion_eta: float, eta: float, shortcuts: Shortcuts) -> None:
    """ValueError for a setting of fusion_sample that is out of range, or an eta that its solver has no place for."""
    if fusion_steps < 0:
        raise ValueError(f"fusion_steps ({fusion_steps}) must be 0 or more")
    if not 0 <= fusion_eta <= 1:
        raise ValueError(f"fusion_eta ({fusion_eta}) must be in [0, 1]")
    if not 0 <= eta <= 1:
        raise ValueError(f"eta ({eta}) must be in [0, 1]")
    if eta and shortcuts.solver != "ddim":
        raise ValueError(f"eta ({eta}) must be 0 with solver {shortcuts.solver}, which draws no noise: or choose ddim")


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
