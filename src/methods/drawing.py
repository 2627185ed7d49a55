"""Drawing somebody who was learned: a sampler as data, and the generator that every method gives back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from src.diffusion import RandnLike, Schedule
from src.models.base import TextToImage
from src.models.personal import PersonalNoise
from src.models.prompts import PLACEHOLDER, check_prompt, generic_prompt
from src.sampling import (
    EXACT,
    Condition,
    Conditions,
    Shortcuts,
    check_stages,
    fusion_sample,
    seeded_randn_like,
)

Terms = list[tuple[Conditions, float]]


@dataclass(frozen=True)
class Sampler:
    """A sampler as data: lists of guidance terms, and how often and how noisily the first is fused.

    joint, separate: rows {prompt, weight, faded?}. `prompt` is "joint" (as the user typed it), "generic" (S*
    named by `generic`) or a template with S*; `weight` a number or a name in `guidance`; a `faded` row uses `gamma` and
    `blend`. `joint` guides the fusion stage, `separate` the refinement stage.
    opening, opening_share: rows that guide the first share of the steps alone, without fusion (switching samplers).
    closing, closing_share: rows that guide the last share of them alone; weights of sum 1 drop the guidance.
    shortcuts: approximations that draw faster (src.sampling.Shortcuts).
    guidance: the weights of the fusion stage, of the joint prompt and of the text alone.
    batch: images at once, whatever their prompts, which no image depends on; None: all that are asked for at once.
    steps: DDIM steps. fusion_steps: the paper's m. fusion_eta: its r, in [0, 1]. eta: DDIM's, in [0, 1].
    """

    steps: int
    guidance: Mapping[str, float]
    joint: Sequence[Mapping[str, Any]]
    separate: Sequence[Mapping[str, Any]]
    fusion_steps: int = 1
    fusion_eta: float = 1.0
    gamma: float = 1.0
    blend: Literal["position", "interpolate"] = "position"
    eta: float = 0.0
    generic: str = "a person"
    opening: Sequence[Mapping[str, Any]] = ()
    opening_share: float = 0.0
    closing: Sequence[Mapping[str, Any]] = ()
    closing_share: float = 0.0
    batch: int | None = None
    shortcuts: Shortcuts = EXACT

    def __post_init__(self) -> None:
        for name in ("fusion_eta", "eta", "gamma", "opening_share", "closing_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"sampler.{name} ({getattr(self, name)}) must be in [0, 1]")
        for name, least in (("steps", 1), ("fusion_steps", 0), ("batch", 1)):
            if getattr(self, name) is not None and getattr(self, name) < least:
                raise ValueError(f"sampler.{name} ({getattr(self, name)}) must be at least {least}")
        unknown = set(self.guidance) - {"fusion", "joint", "text"}
        if unknown:
            raise ValueError(f"sampler.guidance ({sorted(unknown)[0]}) is unknown: it has fusion, joint and text")
        if self.blend not in ("position", "interpolate"):
            raise ValueError(f"sampler.blend ({self.blend}) must be position or interpolate")
        for name, weight in self.guidance.items():
            if not isinstance(weight, int | float):
                raise ValueError(f"sampler.guidance.{name} ({weight}) must be a number")
        if self.opening_share + self.closing_share > 1:
            shares = f"{self.opening_share} and {self.closing_share}"
            raise ValueError(f"sampler.opening_share and closing_share ({shares}) must not be more than 1 together")
        check_stages(self.fusion_steps, self.fusion_eta, self.eta, self.shortcuts)
        stages = {"separate": True, "joint": self.fusion_steps > 0}
        stages |= {name: getattr(self, f"{name}_share") > 0 for name in ("opening", "closing")}
        for name in (stage for stage, runs in stages.items() if runs):
            if not any(self._weight(row) for row in getattr(self, name)):
                raise ValueError(f"sampler.{name} has no row with a weight other than 0: set one in sampler.guidance")

    def parts(self, schedule: Schedule) -> tuple[Schedule, Schedule, Schedule]:
        """The schedule's steps of the opening, of both stages, and of the closing.

        ValueError where there are fusion stages but no timestep that may have one.
        """
        opening, rest = schedule.split(round(self.opening_share * self.steps))
        middle, closing = rest.split(max(len(rest.timesteps) - round(self.closing_share * self.steps), 0))
        if self.fusion_steps and len(middle.timesteps) and not self.shortcuts.fused(middle):
            interval = list(self.shortcuts.fusion_interval)
            raise ValueError(
                f"sampler.shortcuts.fusion_interval ({interval}) holds none of the {self.steps} timesteps: widen it, "
                "or set sampler.fusion_steps=0 to draw without a fusion stage"
            )
        return opening, middle, closing

    def _weight(self, row: Mapping[str, Any]) -> float:
        if isinstance(row["weight"], str) and row["weight"] not in self.guidance:
            raise ValueError(f"the weight {row['weight']!r} is not in sampler.guidance: {', '.join(self.guidance)}")
        return float(self.guidance[row["weight"]] if isinstance(row["weight"], str) else row["weight"])

    def terms(self, rows: Sequence[Mapping[str, Any]], prompt: str, shares: Sequence[float]) -> Terms:
        """(condition, weight) for a prompt; a row that names S* is shared out among the photos or words.

        Where there is nobody to show (no shares), S* is named by `generic`.
        """
        terms: Terms = []
        for row in rows:
            text = {"joint": prompt, "generic": generic_prompt(prompt, self.generic)}.get(row["prompt"], row["prompt"])
            weight = self._weight(row)
            faded: dict[str, Any] = {"gamma": self.gamma, "blend": self.blend} if row.get("faded") else {}
            text = text if shares else generic_prompt(text, self.generic)
            if PLACEHOLDER in text:
                terms += [(Condition(text, photo, **faded), weight * share) for photo, share in enumerate(shares)]
            else:
                terms.append((Condition(text), weight))
        return [(condition, weight) for condition, weight in terms if weight]


def by_row(terms: Sequence[Terms]) -> Terms:
    """The terms of every image of a batch -> terms whose conditions say what each row is under; alike in length."""
    if all(each == terms[0] for each in terms):
        return terms[0]
    return [(tuple(c for c, _ in column), column[0][1]) for column in zip(*terms, strict=True)]


class Person:
    """Somebody who was learned: prompts and seeds in, images out (the `Generate` of every method)."""

    def __init__(
        self,
        base: TextToImage,
        noise: PersonalNoise,
        sampler: Sampler,
        *,
        shares: Sequence[float] = (1.0,),
        pseudo_tokens: int = 1,
    ):
        """base: what decodes. shares: the weight of each of the noise's words; pseudo_tokens: K, of a word."""
        self.base, self.noise, self.sampler = base, noise, sampler
        self.shares, self.pseudo_tokens = list(shares), pseudo_tokens
        self._finite: list[tuple[Tensor, Tensor]] = []  # of each call of the noise: t, and whether it is

    @property
    def unet_evaluations(self) -> int:
        """U-Net evaluations an image, so far."""
        return self.noise.unet_evaluations

    @property
    def batch(self) -> int | None:
        """How many images are drawn at once; None: all that are asked for."""
        return self.sampler.batch

    @torch.no_grad()
    def __call__(self, prompt: str | Sequence[str], seeds: Sequence[int]) -> Tensor:
        prompts = [prompt] * len(seeds) if isinstance(prompt, str) else list(prompt)
        for each in dict.fromkeys(prompts):
            check_prompt(each, self.base.tokenizer, self.base.known_words, self.pseudo_tokens)
        size = self.batch or len(seeds)
        return torch.cat([self._draw(prompts[k : k + size], seeds[k : k + size]) for k in range(0, len(seeds), size)])

    def _draw(self, prompts: Sequence[str], seeds: Sequence[int]) -> Tensor:
        """Images [B, 3, H, W] of B prompts and seeds, in one batch."""
        self.noise.begin(self.sampler.shortcuts)
        randn_like = seeded_randn_like(seeds)
        x = randn_like(torch.empty(len(seeds), *self.base.latent_shape, device=self.base.device))
        self._finite = []
        latents = self._sample(x, prompts, randn_like)
        self._check_finite(prompts)
        return self.base.decode(latents)

    def _terms(self, rows: Sequence[Mapping[str, Any]], prompts: Sequence[str], shares: Sequence[float]) -> Terms:
        terms = {prompt: self.sampler.terms(rows, prompt, shares) for prompt in dict.fromkeys(prompts)}
        return by_row([terms[prompt] for prompt in prompts])

    def _watched_noise(self, x: Tensor, t: Tensor, conditions: Sequence[Any]) -> Sequence[Tensor]:
        """The noise prediction; whether it is finite is noted down where it was computed, and nobody waits for it."""
        predicted = self.noise(x, t, conditions)
        self._finite.append((t, torch.stack([eps.isfinite().all() for eps in predicted]).all()))
        return predicted

    def _check_finite(self, prompts: Sequence[str]) -> None:
        """ValueError where a noise prediction was not finite: nothing could come of it."""
        finite = torch.stack([each for _, each in self._finite])
        if finite.is_meta or bool(finite.all()):  # meta tensors hold no numbers
            return
        t = int(self._finite[int((~finite).nonzero()[0, 0])][0])
        raise ValueError(
            f'the noise that is predicted for "{prompts[0]}" is not finite at timestep {t}: nothing is '
            f"drawn; lower sampler.guidance ({dict(self.sampler.guidance)}), or the rate of "
            "learning and learn again"
        )

    def _sample(self, x: Tensor, prompts: Sequence[str], randn_like: RandnLike) -> Tensor:
        """Noise [B, C, h, w] -> latents: the opening steps, if there are any, the others, and the closing ones."""
        sampler, shares = self.sampler, self.shares
        opening, middle, closing = sampler.parts(self.base.schedule(sampler.steps))
        joint = self._terms(sampler.joint, prompts, [share / sum(shares) for share in shares])
        for schedule, rows, fusion_steps in (
            (opening, sampler.opening, 0),
            (middle, sampler.separate, sampler.fusion_steps),
            (closing, sampler.closing, 0),
        ):
            x = fusion_sample(
                self._watched_noise,
                x,
                schedule,
                joint=joint,
                separate=self._terms(rows, prompts, shares),
                fusion_steps=fusion_steps,
                fusion_eta=sampler.fusion_eta,
                eta=sampler.eta,
                randn_like=randn_like,
                shortcuts=sampler.shortcuts,
            )
        return x
