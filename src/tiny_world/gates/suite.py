"""The gates of the embedded world, 0 to 9: what makes it a world rather than a toy, on validation people alone.

None of them compares the full method with an ablation.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from src.models.base import TextToImage
from src.models.promptnet import PromptNet
from src.tiny_world import photos as tiny_people
from src.tiny_world.gates.base import style_gates, text_gates, through_vae, vae_gates
from src.tiny_world.gates.finetuning import finetuning_gate
from src.tiny_world.gates.gate import Gate, gate, print_gates
from src.tiny_world.gates.inversion import PROMPT, optimise_token
from src.tiny_world.gates.path import path_gate
from src.tiny_world.gates.promptnet import identity_gate, names_gate, promptnet_gates
from src.tiny_world.gates.words import JOINT, WORDS, drowning_gate, gamma_gate
from src.tiny_world.judges.quality import judge_gates, load_identity_judges, load_text_judges
from src.tiny_world.names import Names
from src.tiny_world.renderer.people import SPLITS

__all__ = ["Gate", "print_gates", "run_gates"]

GRID: Mapping[tuple[float, int], int] = {(lr, steps): 1 for lr in (1e-4, 3e-4, 1e-3) for steps in (25, 100)}


@dataclass(frozen=True)
class _World:
    """What is measured, built; see `run_gates`."""

    base: TextToImage
    promptnet: PromptNet | None
    judges: Path
    finetune: Any
    people: int
    seen: int
    tuned: int
    grid: Mapping[tuple[float, int], int]
    names: Names | None
    walked: int

    @cached_property
    def tokens(self) -> tuple[Tensor, Tensor]:
        """Reference photos [P, 3, 64, 64] that show nothing of what gates 4 and 5 say, and their tokens [P, 1, D]."""
        prompts = [*JOINT, *(f"{PROMPT} {words}" for words in WORDS)]
        chosen = SPLITS["validation"][8000 : 8000 + self.people]
        photos = torch.cat([tiny_people.reference(person, prompts) for person in chosen]).to(self.base.device)
        return photos, torch.cat([optimise_token(self.base, p[None], seed=i) for i, p in enumerate(photos)])


def judges_gates(judges: Path, base: TextToImage) -> list[Gate]:
    """Gate 2: the judges of a folder on the renderer's pictures, and on the same through the VAE.

    Text: share of pictures whose full caption is the nearest of 32, at least .95 by every judge. Identity: equal error
    rate of people across scenes in photo style, at most .03 by every judge. Other styles and the presence of faces are
    in the details.
    """
    rows = []
    for where, through in (("real", None), ("through VAE", through_vae(base))):
        found = judge_gates(judges, through)
        text = {name: value for name, value in found.items() if name.startswith("text/")}
        other = {name: value for name, value in found.items() if name not in text}
        errors = [value for name, value in other.items() if name.endswith("/eer/photo")]
        rows.append(gate(2, f"text judges: retrieval of 32, {where}", min(text.values()), 0.95, text))
        rows.append(gate(2, f"identity judges: EER, {where}", max(errors), 0.03, other, at_least=False))
    return rows


def _names_gates(world: _World) -> list[Gate]:
    """Gate 0, of a world whose names were kept."""
    if world.names is None:
        raise ValueError("gate 0 needs the names of the base's training: run stage=base and stage=export first")
    judges, people = load_identity_judges(world.judges), SPLITS["validation"][9000 : 9000 + world.seen]
    return [names_gate(world.base, world.names, judges, people=people)]


def _style_gates(world: _World) -> list[Gate]:
    """Gate 9."""
    return style_gates(world.base, load_text_judges(world.judges), load_identity_judges(world.judges)[0])


def _person_gates(world: _World, number: int) -> list[Gate]:
    """Gates 5 (its second row), 6, 7 and 8, of a world with a PromptNet."""
    if world.promptnet is None or (number in (5, 8) and world.finetune is None):
        raise ValueError(f"gate {number} needs a PromptNet and its fine-tuning: run stage=promptnet first")
    if number == 6:
        return promptnet_gates(world.base, world.promptnet, *world.tokens)
    judges, everybody = load_identity_judges(world.judges), SPLITS["validation"][9000:]
    if number == 7:
        return [identity_gate(world.base, world.promptnet, judges, people=everybody[: world.seen])]
    people = everybody[500 : 500 + (world.walked if number == 5 else world.tuned)]
    if number == 5:
        row = path_gate(world.base, world.promptnet, judges, world.finetune, people=people)
        return [drowning_gate(world.base, *world.tokens), row]
    return [finetuning_gate(world.base, world.promptnet, judges, world.finetune, people=people, grid=world.grid)]


_MEASURES: Mapping[int, Callable[[_World], list[Gate]]] = {
    0: _names_gates,
    1: lambda world: vae_gates(world.base),
    2: lambda world: judges_gates(world.judges, world.base),
    3: lambda world: text_gates(world.base, load_text_judges(world.judges)),
    4: lambda world: [gamma_gate(world.base, *world.tokens)],
    **{number: partial(_person_gates, number=number) for number in (5, 6, 7, 8)},
    9: _style_gates,
}


NUMBERS = tuple(_MEASURES)


def run_gates(
    base: TextToImage,
    promptnet: PromptNet | None,
    judges: Path,
    finetune: Any,
    *,
    names: Names | None = None,
    only: Collection[int] = NUMBERS,
    people: int = 3,
    seen: int = 64,
    tuned: int = 6,
    walked: int = 3,
    grid: Mapping[tuple[float, int], int] = GRID,
    echo: Callable[[str], None] = print,
) -> list[Gate]:
    """Measure the gates, or `only` some of them, in order; `echo` is told of each as it is done.

    promptnet, finetune: may be None where only gates 0 to 4 and 9 are wanted; names: where gate 0 is not.
    judges: the folder they were exported to.
    finetune: a dataclass with `lr` and `steps`, called with (base, promptnet, photo [1, 3, H, W]), that leaves these
        alone and returns what has a `base` and a `promptnet` which know the photo.
    people: for how many a token is optimised (gates 4 to 6). seen: of how many a picture is made (gate 7).
    walked: along the path of how many fine-tunings words are listened to (gate 5, second row).
    tuned: on how many the base is fine-tuned as configured (gate 8); grid: (learning rate, steps) -> on how many of
        them with that setting.

    Raises:
        ValueError: there is no such gate, a gate lacks what it measures, or a model's output is not finite.
        FileNotFoundError: a judge is missing.
    """
    unknown = sorted(set(only) - set(_MEASURES))
    if unknown:
        raise ValueError(f"there is no gate {unknown[0]}: choose from 0 to {max(_MEASURES)}")
    world = _World(base, promptnet, judges, finetune, people, seen, tuned, grid, names, walked)
    rows: list[Gate] = []
    for number in sorted(only):
        started = time.monotonic()
        found = _MEASURES[number](world)
        verdict = ", ".join(f"{row.name} {row.value:.3f} ({'held' if row.held else 'missed'})" for row in found)
        echo(f"gate {number} in {time.monotonic() - started:.0f} s: {verdict}")
        rows += found
    return rows
