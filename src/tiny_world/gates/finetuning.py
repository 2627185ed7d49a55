"""Gates 5 and 8: how far fine-tuning on a photo moves identity towards it, and what becomes of words on that path."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import fmean
from typing import Any

import torch
from torch import Tensor

from src.metrics.identity import Identity
from src.models.base import TextToImage
from src.models.promptnet import PromptNet
from src.models.prompts import generic_prompt
from src.statistics.interval import t_interval
from src.tiny_world.base_sampling import PROMPT, person_text, sample_rows
from src.tiny_world.gates.gate import Gate, gate
from src.tiny_world.gates.words import GENERIC, WORDS, noisy, word_effects
from src.tiny_world.photos import reference

PATH = (25, 50, 100, 200, 400)  # steps
WAY = 0.9  # of its way from PromptNet alone to its best: how far identity has come where the gate looks
SAMPLING = {"steps": 15}  # of *base* sampling, where nothing else is asked for


def identity_scores(
    base: TextToImage, promptnet: PromptNet, judges: Sequence[Identity], photo: Tensor, **sampling: Any
) -> dict[str, float]:
    """Judge -> mean cosine of "a photo of S*" (two seeds) and the photo [1, 3, H, W]; 0 where there is no face."""
    seeds = range(2)
    text = person_text(base, promptnet, photo.expand(len(seeds), -1, -1, -1))
    made = sample_rows(base, text, seeds, **sampling)
    return {j.name: float(((j.embed(made) @ j.embed(photo)[0]) * j.present(made)).mean()) for j in judges}


def finetuning_gate(
    base: TextToImage,
    promptnet: PromptNet,
    judges: Sequence[Identity],
    finetune: Any,
    *,
    people: Sequence[int],
    grid: Mapping[tuple[float, int], int],
    **sampling: Any,
) -> Gate:
    """Gate 8: how far fine-tuning on a photo moves "a photo of S*" towards that photo, paired by person and seeds.

    The value is the lower end of the 95 % t-interval of the mean difference (mean over judges of the cosine with the
    photo, after minus before, two seeds of *base* sampling) for `finetune` as it is configured; it must be above 0.
    `grid` says on how many of the people each further (learning rate, steps) is tried; those curves are the details.
    """
    scores: dict[str, list[dict[str, float]]] = {}
    used, how = (finetune.lr, finetune.steps), {**SAMPLING, **sampling}
    wanted = {**grid, used: len(people)}
    before = []
    for number, person in enumerate(people):
        photo = reference(person, ()).to(base.device)
        before.append(identity_scores(base, promptnet, judges, photo, **how))
        for (lr, length), count in wanted.items():
            if number < count:
                tuned = replace(finetune, lr=lr, steps=length)(base, promptnet, photo)
                after = identity_scores(tuned.base, tuned.promptnet, judges, photo, **how)
                scores.setdefault(_named((lr, length)), []).append(after)
    curves = {name: _moved(before[: len(after)], after) for name, after in scores.items()}
    moved = curves[_named(used)]
    low, high = t_interval(moved["each"])
    details = {"setting": _named(used), "mean": moved["mean"], "low": low, "high": high, "people": len(people)}
    row = gate(8, "fine-tuning moves identity: low end of 95 %", low, 0.0, details | {"curves": curves})
    return replace(row, held=low > 0)


def _named(setting: tuple[float, int]) -> str:
    return f"lr {setting[0]:g}, {setting[1]} steps"


def _moved(before: Sequence[Mapping[str, float]], after: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    """Means before and after for each judge, and each person's difference, averaged over judges."""
    each = [fmean(b[j] - a[j] for j in a) for a, b in zip(before, after, strict=True)]
    means = {
        judge: {"before": fmean([a[judge] for a in before]), "after": fmean([b[judge] for b in after])}
        for judge in before[0]
    }
    return {"each": each, "mean": fmean(each), "judges": means}


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
        _along(base, promptnet, judges, finetune, person, path, draws, {**SAMPLING, **sampling}) for person in people
    ]
    rows = {
        length: {name: fmean(walk[length][name] for walk in walks) for name in ("effect", "identity")}
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
        rows[length] = {"effect": float((after / before).mean()), "identity": fmean(reached.values())}
    return rows
