"""Gate 5, second row: the conflict where it arises, along the path of fine-tuning on one photo."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch

from src.metrics.identity import Identity
from src.models.base import TextToImage
from src.models.promptnet import PromptNet
from src.models.prompts import generic_prompt
from src.tiny_world.base_sampling import PROMPT
from src.tiny_world.gates.finetuning import identity_scores
from src.tiny_world.gates.gate import Gate, gate
from src.tiny_world.gates.words import GENERIC, WORDS, noisy, word_effects
from src.tiny_world.photos import reference

PATH = (25, 50, 100, 200, 400)  # steps
WAY = 0.9  # of its way from PromptNet alone to its best: how far identity has come where the gate looks


def path_gate(
    base: TextToImage,
    promptnet: PromptNet,
    judges: Sequence[Identity],
    finetune: Any,
    *,
    people: Sequence[int],
    path: Sequence[int] = PATH,
    draws: int = 16,
    **sampling: Any,
) -> Gate:
    """After fine-tuning on one photo: the effect of words after S* over that after "a person" in the untouched base.

    For each number of steps the mean over people and phrases, and beside it the identity reached (mean over judges and
    people); the value is the effect at the first of them where identity has come 90 % of its way. Bound: at most .7.
    """
    walks = [
        _along(base, promptnet, judges, finetune, person, path, draws, {"steps": 15, "guidance": 1.5, **sampling})
        for person in people
    ]
    rows = {
        length: {name: sum(walk[length][name] for walk in walks) / len(walks) for name in ("effect", "identity")}
        for length in (0, *path)
    }
    value = rows[over_fitted(rows)]["effect"]
    details = {"path": rows, "at": over_fitted(rows), "people": len(people), "lr": finetune.lr}
    name = f"words after S*, fine-tuned {over_fitted(rows)} steps: effect"
    return gate(5, name, value, 0.7, details, at_least=False)


def over_fitted(rows: Mapping[int, Mapping[str, float]]) -> int:
    """The first number of steps at which identity has come WAY from where it starts (0 steps) to its best."""
    start, best = rows[0]["identity"], max(row["identity"] for row in rows.values())
    return next(length for length, row in sorted(rows.items()) if row["identity"] >= start + WAY * (best - start))


def _along(
    base: TextToImage,
    promptnet: PromptNet,
    judges: Sequence[Identity],
    finetune: Any,
    person: int,
    path: Sequence[int],
    draws: int,
    sampling: Mapping[str, Any],
) -> dict[int, dict[str, float]]:
    """Steps -> effect and identity of one person; 0 steps: PromptNet alone."""
    photo = reference(person, [f"{PROMPT} {words}" for words in WORDS]).to(base.device)
    x_t, t = noisy(base, photo, draws, person)
    before = torch.tensor(word_effects(base, x_t, t, generic_prompt(PROMPT, GENERIC), WORDS))
    rows = {}
    for length in (0, *path):
        tuned = replace(finetune, steps=length)(base, promptnet, photo) if length else None
        learned, net = (base, promptnet) if tuned is None else (tuned.base, tuned.promptnet)
        with torch.no_grad():
            shown = (x.expand(draws, *x.shape[1:]) for x in (learned.encode(photo), learned.see(photo)))
            pseudo = net(x_t, t, *shown)
        after = torch.tensor(word_effects(learned, x_t, t, PROMPT, WORDS, pseudo))
        reached = identity_scores(learned, net, judges, photo, **sampling)
        rows[length] = {"effect": float((after / before).mean()), "identity": sum(reached.values()) / len(reached)}
    return rows
