"""Floors and ceilings as generators, beside which every method is judged: who is drawn without being learned."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from src.methods.method import Generate
from src.models.base import TextToImage


def anchor_makers(
    photo: Callable[[Any], Tensor],
    base: Callable[[], TextToImage],
    oracle: Callable[..., Tensor] | None = None,
    stranger: Callable[..., Tensor] | None = None,
) -> dict[str, Callable[[Any], Generate]]:
    """Floors and ceilings, each as a way of learning a person: those that a world with these can give."""
    makers: dict[str, Callable[[Any], Generate]] = {"copy": lambda person: copied(photo(person))}
    if oracle is not None and stranger is not None:
        makers["other"] = lambda person: drawn(stranger, person)
        makers["oracle"] = lambda person: drawn(oracle, person)
        makers["oracle_vae"] = lambda person: through_vae(base(), drawn(oracle, person))
    return makers


def copied(photos: Tensor) -> Generate:
    """The first of the photos [P, 3, H, W], whatever is asked for."""
    return lambda prompt, seeds: photos[:1].expand(len(seeds), -1, -1, -1)


def drawn(draw: Callable[..., Tensor], person: Any) -> Generate:
    """What `draw(person=, prompt=, seed=)`, an image [3, H, W], makes of each."""

    def each(prompt: str | Sequence[str], seeds: Sequence[int]) -> Tensor:
        prompts = [prompt] * len(seeds) if isinstance(prompt, str) else prompt
        return torch.stack(
            [draw(person=person, prompt=own, seed=seed) for own, seed in zip(prompts, seeds, strict=True)]
        )

    return each


def through_vae(base: TextToImage, generate: Generate) -> Generate:
    """The same, encoded and decoded: the most that a model with this autoencoder can give."""

    @torch.no_grad()
    def decoded(prompt: str | Sequence[str], seeds: Sequence[int]) -> Tensor:
        return base.decode(base.encode(generate(prompt, seeds).to(base.device)))

    return decoded
