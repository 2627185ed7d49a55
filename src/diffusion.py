"""The diffusion mathematics: noise schedule, training noise and loss, DDIM step and fusion move.

Notation: `alpha_bar` is the cumulative signal level, x_t = sqrt(alpha_bar) x_0 + sqrt(1 - alpha_bar) eps.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

RandnLike = Callable[[Tensor], Tensor]  # a tensor -> standard normal noise of its shape, device and dtype


@dataclass(frozen=True)
class Schedule:
    """A noise schedule and the timesteps a sampler visits.

    alpha_bar: [T], cumulative signal levels in (0, 1], kept in float64.
    timesteps: the visited timesteps in descending order, each in [0, T - 1]; empty where none is sampled.
    final_alpha_bar: the signal level after the last step (t_prev = -1), in (0, 1].
    """

    alpha_bar: Tensor
    timesteps: Sequence[int] | Tensor
    final_alpha_bar: float | Tensor
    _levels: dict[Any, tuple[Tensor, Tensor]] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        assert self.alpha_bar.ndim == 1, f"alpha_bar must be [T], got {tuple(self.alpha_bar.shape)}"
        levels = [float(self.alpha_bar.min()), float(self.alpha_bar.max()), float(self.final_alpha_bar)]
        if not all(0 < level <= 1 for level in levels):
            raise ValueError(f"signal levels (min, max, final: {levels}) must be in (0, 1]")
        visited = [int(t) for t in self.timesteps]
        if any(not 0 <= t < len(self.alpha_bar) for t in visited) or visited != sorted(set(visited))[::-1]:
            raise ValueError(f"timesteps ({visited}) must descend within [0, {len(self.alpha_bar) - 1}]")

    @classmethod
    def leading(
        cls,
        alpha_bar: Tensor,
        num_steps: int,
        start: int | None = None,
        *,
        final_alpha_bar: float | None = None,
        steps_offset: int = 1,
    ) -> "Schedule":
        """`num_steps` timesteps in "leading" spacing (diffusers' DDIMScheduler) over any alpha_bar [T].

        start: timesteps above it are left out (the authors' `st`); None keeps all.
        final_alpha_bar: None is Stable Diffusion's choice, alpha_bar[0].
        Raises ValueError where num_steps does not fit T or no timestep is left.
        """
        total = len(alpha_bar)
        if not 1 <= num_steps <= total:
            raise ValueError(f"num_steps ({num_steps}) must be in [1, {total}]")
        visited = [i * (total // num_steps) + steps_offset for i in reversed(range(num_steps))]
        if visited[0] >= total:
            raise ValueError(f"num_steps ({num_steps}) with steps_offset {steps_offset} runs past {total} timesteps")
        visited = [t for t in visited if start is None or t <= start]
        if not visited:
            raise ValueError(f"start ({start}) leaves no timestep to sample; the lowest is {steps_offset}")
        alpha_bar = alpha_bar.double()
        return cls(alpha_bar, visited, float(alpha_bar[0]) if final_alpha_bar is None else final_alpha_bar)

    @classmethod
    def ddim(cls, num_steps: int, start: int = 1000) -> "Schedule":
        """Stable Diffusion's 1,000 timesteps: beta scaled-linear from .00085 to .012, "leading", offset 1.

        Timesteps above `start` are left out. The product runs in float32 as in the released models.
        """
        beta = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float32) ** 2
        return cls.leading(torch.cumprod(1 - beta, dim=0), num_steps, start)

    def steps(self) -> Iterator[tuple[int, int]]:
        """Pairs (t, t_prev) of Python integers, descending; the last t_prev is -1: final_alpha_bar."""
        return pairwise([*map(int, self.timesteps), -1])

    def split(self, count: int) -> tuple["Schedule", "Schedule"]:
        """The first `count` timesteps and the others: sampled one after the other they are this schedule."""
        visited = [int(t) for t in self.timesteps]
        rest = visited[count:]
        between = self.alpha_bar_at(rest[0]) if rest else self.final_alpha_bar
        return Schedule(self.alpha_bar, visited[:count], between), Schedule(self.alpha_bar, rest, self.final_alpha_bar)

    def alpha_bar_at(self, t: int) -> float:
        """The signal level at t; at t = -1 it is final_alpha_bar."""
        return float(self.final_alpha_bar) if t < 0 else float(self.alpha_bar[t])


def _signal_and_noise(schedule: Schedule, t: int | Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
    """sqrt(alpha_bar_t) and sqrt(1 - alpha_bar_t) for t int, 0-dim or [B], to multiply `like` [B, ...].

    The whole tables go to where `like` is, once, rather than t to them: nobody has to wait for it.
    """
    key = (like.device, like.dtype)
    if key not in schedule._levels:
        with torch.inference_mode(False):  # what a validation leaves here is to serve a training, too
            level = schedule.alpha_bar.double()
            schedule._levels[key] = (level.sqrt().to(*key), (1 - level).sqrt().to(*key))
    t = torch.as_tensor(t, device=like.device)
    shape = [-1, *[1] * (like.ndim - 1)] if t.ndim else []
    signal, noise = (table[t.flatten()].reshape(shape) for table in schedule._levels[key])
    return signal, noise


def sent(value: Tensor, device: torch.device) -> Tensor:
    """A tensor of the CPU on a device, without waiting for what is queued there."""
    return (value.pin_memory() if device.type == "cuda" else value).to(device, non_blocking=True)


def add_noise(x_0: Tensor, eps: Tensor, t: int | Tensor, schedule: Schedule) -> Tensor:
    """x_t = signal x_0 + noise eps (Ho et al. 2020, eq. 4); t is int, 0-dim or [B]."""
    signal, noise = _signal_and_noise(schedule, t, x_0)
    return signal * x_0 + noise * eps


def v_to_eps(v: Tensor, x_t: Tensor, t: int | Tensor, schedule: Schedule) -> Tensor:
    """The noise meant by a velocity v = signal eps - noise x_0 (Salimans & Ho 2022, appendix D)."""
    signal, noise = _signal_and_noise(schedule, t, x_t)
    return signal * v + noise * x_t


def eps_to_v(eps: Tensor, x_t: Tensor, t: int | Tensor, schedule: Schedule) -> Tensor:
    """The inverse of v_to_eps."""
    signal, noise = _signal_and_noise(schedule, t, x_t)
    return (eps - noise * x_t) / signal


def denoising_loss(eps_prediction: Tensor, eps: Tensor) -> Tensor:
    """The plain noise-prediction loss: the mean squared error over all elements, in float32 or better."""
    assert eps_prediction.shape == eps.shape, f"{tuple(eps_prediction.shape)} against {tuple(eps.shape)}"
    wide = torch.promote_types(eps.dtype, torch.float32)
    return (eps_prediction.to(wide) - eps.to(wide)).square().mean()


def _posterior_std(alpha_bar: float, alpha_bar_prev: float) -> float:
    """Standard deviation of q(x_prev | x_t, x_0) (Song et al. 2020, eq. 16 at eta = 1)."""
    return math.sqrt((1 - alpha_bar_prev) / (1 - alpha_bar) * (1 - alpha_bar / alpha_bar_prev))


def ddim_step(
    x: Tensor, eps: Tensor, schedule: Schedule, t: int, t_prev: int, eta: float, randn_like: RandnLike
) -> Tensor:
    """One DDIM step t -> t_prev (Song et al. 2020, eq. 12); eta in [0, 1], noise is drawn only if eta > 0."""
    if not 0 <= eta <= 1:
        raise ValueError(f"eta ({eta}) must be in [0, 1]")
    alpha_bar, alpha_bar_prev = schedule.alpha_bar_at(t), schedule.alpha_bar_at(t_prev)
    sigma = eta * _posterior_std(alpha_bar, alpha_bar_prev)
    x_0 = (x - math.sqrt(1 - alpha_bar) * eps) / math.sqrt(alpha_bar)
    x_prev = math.sqrt(alpha_bar_prev) * x_0 + math.sqrt(max(1 - alpha_bar_prev - sigma**2, 0)) * eps
    return x_prev + sigma * randn_like(x) if eta > 0 else x_prev


def x_0_of(x: Tensor, eps: Tensor, schedule: Schedule, t: int) -> Tensor:
    """The clean latents that eps means at x_t: x_0 = (x_t - sqrt(1 - alpha_bar) eps) / sqrt(alpha_bar)."""
    alpha_bar = schedule.alpha_bar_at(t)
    return (x - math.sqrt(1 - alpha_bar) * eps) / math.sqrt(alpha_bar)


def eps_of(x: Tensor, x_0: Tensor, schedule: Schedule, t: int) -> Tensor:
    """The noise that there is in x_t if its clean latents are x_0; the inverse of x_0_of."""
    alpha_bar = schedule.alpha_bar_at(t)
    return (x - math.sqrt(alpha_bar) * x_0) / math.sqrt(1 - alpha_bar)


def dpmpp_2m_step(
    x: Tensor, eps: Tensor, schedule: Schedule, t: int, t_prev: int, before: tuple[Tensor, int] | None
) -> Tensor:
    """One step t -> t_prev of DPM-Solver++(2M) (Lu et al. 2022, algorithm 2), of any prediction that means an eps.

    before: (x_0, t) of the step that led to x; None where there was none, or where x has been moved since: the step is
    of first order then, DDIM's. So it is where alpha_bar at t_prev is 1.
    """
    if before is None or schedule.alpha_bar_at(t_prev) >= 1:
        return ddim_step(x, eps, schedule, t, t_prev, 0.0, torch.zeros_like)
    x_0 = x_0_of(x, eps, schedule, t)
    earlier, now, later = (_half_log_snr(schedule, each) for each in (before[1], t, t_prev))
    guess = x_0 + (later - now) / (now - earlier) / 2 * (x_0 - before[0])
    return ddim_step(x, eps_of(x, guess, schedule, t), schedule, t, t_prev, 0.0, torch.zeros_like)


def _half_log_snr(schedule: Schedule, t: int) -> float:
    """lambda_t = log(sqrt(alpha_bar) / sqrt(1 - alpha_bar))."""
    alpha_bar = schedule.alpha_bar_at(t)
    return math.log(alpha_bar / (1 - alpha_bar)) / 2


def renoise(
    x: Tensor, eps: Tensor, schedule: Schedule, t: int, t_prev: int, fusion_eta: float, randn_like: RandnLike
) -> Tensor:
    """The fusion move at t (Zhou et al. 2023): a DDIM step to t_prev and the posterior's draw back, in one.

    x_t <- x_t - sigma^2 sqrt(1-a_t)/(1-a_prev) eps + sigma sqrt((1-a_t)(2-2a_prev-sigma^2))/(1-a_prev) z;
    sigma is fusion_eta in [0, 1] times the DDIM posterior's standard deviation; z is drawn exactly once.
    Raises ValueError where alpha_bar at t_prev is 1: the move is undefined there.
    """
    if not 0 <= fusion_eta <= 1:
        raise ValueError(f"fusion_eta ({fusion_eta}) must be in [0, 1]")
    alpha_bar, alpha_bar_prev = schedule.alpha_bar_at(t), schedule.alpha_bar_at(t_prev)
    if alpha_bar_prev >= 1:
        raise ValueError(f"alpha_bar ({alpha_bar_prev}) at t_prev = {t_prev} must be below 1: skip the fusion stage")
    sigma = fusion_eta * _posterior_std(alpha_bar, alpha_bar_prev)
    drift = sigma**2 * math.sqrt(1 - alpha_bar) / (1 - alpha_bar_prev)
    spread = sigma * math.sqrt((1 - alpha_bar) * (2 - 2 * alpha_bar_prev - sigma**2)) / (1 - alpha_bar_prev)
    return x - drift * eps + spread * randn_like(x)
