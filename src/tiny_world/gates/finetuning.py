"""Gate 8: does fine-tuning on a photo move identity towards it?"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor

from src.metrics.identity import Identity
from src.models.base import TextToImage
from src.models.promptnet import PromptNet
from src.statistics.interval import t_interval
from src.tiny_world.base_sampling import person_text, sample_rows
from src.tiny_world.gates.gate import Gate, gate
from src.tiny_world.photos import reference


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
    steps: int = 15,
    guidance: float = 1.5,
) -> Gate:
    """Gate 8: how far fine-tuning on a photo moves "a photo of S*" towards that photo, paired by person and seeds.

    The value is the lower end of the 95 % t-interval of the mean difference (mean over judges of the cosine with the
    photo, after minus before, two seeds of *base* sampling) for `finetune` as it is configured; it must be above 0.
    `grid` says on how many of the people each further (learning rate, steps) is tried; those curves are the details.
    finetune: a dataclass with `lr` and `steps`; (base, promptnet, photo) -> what has a `base` and a `promptnet`.
    """
    scores: dict[str, list[dict[str, float]]] = {}
    used = (finetune.lr, finetune.steps)
    wanted = {**grid, used: len(people)}
    before = []
    for number, person in enumerate(people):
        photo = reference(person, ()).to(base.device)
        before.append(identity_scores(base, promptnet, judges, photo, steps=steps, guidance=guidance))
        for (lr, length), count in wanted.items():
            if number < count:
                tuned = replace(finetune, lr=lr, steps=length)(base, promptnet, photo)
                after = identity_scores(tuned.base, tuned.promptnet, judges, photo, steps=steps, guidance=guidance)
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
    each = [sum(b[j] - a[j] for j in a) / len(a) for a, b in zip(before, after, strict=True)]
    means = {
        judge: {"before": _mean([a[judge] for a in before]), "after": _mean([b[judge] for b in after])}
        for judge in before[0]
    }
    return {"each": each, "mean": _mean(each), "judges": means}


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
