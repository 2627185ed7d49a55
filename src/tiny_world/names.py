"""Names of people: words whose embeddings are a learned function of who somebody is.

A base of the web's size has read the names of people whom it has seen, so its text space holds directions for *who*.
Here half of the captions call the person by a name in the place of "a person"; no other word says who it is. The net
serves training alone, and is kept beside the checkpoints: what is shipped is what the base learned from it.
"""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from src.tiny_world.renderer.people import BEARDS, HAIR_STYLES, MARKS, SPLITS, Person, person_from

STANDARD = 4000  # training people over whom traits are standardised


def traits(person: Person) -> Tensor:
    """Who somebody is, as numbers of about unit size [T]: lengths, colours, and kinds one by one."""
    numbers: list[float] = []
    for value in asdict(person).values():
        if isinstance(value, tuple):
            numbers += [channel / 64 - 2 for channel in value]
        elif not isinstance(value, str):
            numbers.append(float(value))
    kinds = ((HAIR_STYLES, person.hair_style), (BEARDS, person.beard), (MARKS, person.mark_at))
    return torch.tensor(numbers + [float(v == own) * 2 for values, own in kinds for v in dict.fromkeys(values)])


def traits_of(people: Sequence[int]) -> Tensor:
    """[P, T], the traits of people by their seeds."""
    return torch.stack([traits(person_from(seed)) for seed in people])


class Names(nn.Module):
    """Traits [B, T] -> names [B, D], near the embedding of a noun [D].

    Traits are standardised over training people, and the offset from the noun has the norm of a word: raw traits reach
    80, and offsets of 42 times a word's norm saturate the text encoder, which then reads nothing of them.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, width: int, *, hidden: int = 256, gain: float = 0.1):
        super().__init__()
        known = traits_of(SPLITS["train"][:STANDARD])
        self.register_buffer("mean", known.mean(0))
        self.register_buffer("std", known.std(0).clamp(min=1e-3))
        self.map = nn.Sequential(
            nn.Linear(known.shape[1], hidden), nn.SiLU(), nn.Linear(hidden, hidden), nn.SiLU(), nn.Linear(hidden, width)
        )
        self.gain = nn.Parameter(torch.tensor(gain))

    def forward(self, people: Tensor, noun: Tensor) -> Tensor:
        offset = self.map((people - self.mean) / self.std)
        return noun + self.gain * F.layer_norm(offset.float(), offset.shape[-1:])


def noun_of(text_encoder: Any, noun_id: int, position: int = 4) -> Tensor:
    """The (token + position) embedding [D] of a noun where "a photo of" ends."""
    own = text_encoder.embeddings
    return own.token_embedding.weight[noun_id] + own.position_embedding.weight[position]


def encode_named(text_encoder: Any, ids: Tensor, names: Tensor, at: Tensor) -> Tensor:
    """The text states [B, L, D] of ids [B, L] in which the embedding at `at` [B] is a name [B, D]; at = 0: none is.

    The name replaces token and position embedding, as S* does (src.models.prompts.encode).
    """
    here = ((torch.arange(ids.shape[1], device=ids.device) == at[:, None]) & (at > 0)[:, None])[..., None]
    hook = text_encoder.embeddings.register_forward_hook(
        lambda module, args, embedded: torch.where(here, names[:, None].to(embedded), embedded)
    )
    try:
        return text_encoder(ids).last_hidden_state
    finally:
        hook.remove()
