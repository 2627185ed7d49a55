"""Looking inside a sampler: what the U-Net was asked at every stage, and which image it had in mind then."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

from src.diffusion import Schedule
from src.sampling import NULL, Condition, Conditions, Noise, Terms, guided_noise


@dataclass(frozen=True)
class Call:
    """One batched call of the U-Net: x_t [B, C, h, w] at t, and the noise predicted under each condition."""

    x_t: Tensor
    t: int
    eps: dict[Conditions, Tensor]

    def guided(self, terms: Terms) -> Tensor:
        """eps [B, C, h, w] under composed guidance; KeyError for a condition that was not asked for."""
        return guided_noise(lambda x, t, asked: [self.eps[c] for c in asked], self.x_t, torch.tensor(self.t), terms)

    def clean(self, terms: Terms, schedule: Schedule) -> Tensor:
        """The predicted x_0 [B, C, h, w] = (x_t - sqrt(1 - alpha_bar) eps) / sqrt(alpha_bar) under these terms."""
        alpha_bar = schedule.alpha_bar_at(self.t)
        return (self.x_t - (1 - alpha_bar) ** 0.5 * self.guided(terms)) / alpha_bar**0.5

    def cosine(self, one: Condition, other: Condition) -> Tensor:
        """[B]: the cosine between what two conditions change in eps; 1: they pull the same way."""
        a, b = ((self.eps[condition] - self.eps[NULL]).flatten(1) for condition in (one, other))
        return cosine_similarity(a, b)


@dataclass
class Recorder:
    """A noise function that keeps every call in `calls`; the samples are what they would have been."""

    noise: Noise
    calls: list[Call] = field(default_factory=list)

    def __call__(self, x: Tensor, t: Tensor, conditions: Sequence[Conditions]) -> Sequence[Tensor]:
        answers = self.noise(x, t, conditions)
        self.calls.append(Call(x, int(t), dict(zip(conditions, answers, strict=True))))
        return answers
