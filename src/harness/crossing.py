"""Methods crossed with samplers: what each pair is asked to do, and what it costs."""

from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from src.files.whole import read_json
from src.harness.build import count, plain
from src.harness.compose import compose
from src.harness.device import GIB, handed_on
from src.runs.run import Run


def crossed(cfg: DictConfig) -> dict[tuple[str, str], DictConfig]:
    """(method, sampler) -> what `python -m src.ablate` would hold with the overrides of both.

    ValueError where there is no method or no sampler.
    """
    methods, samplers = plain(cfg.methods), plain(cfg.samplers)
    for name, group in (("methods", methods), ("samplers", samplers)):
        if not group:
            raise ValueError(f"{name} ({group}) must name at least one, with its overrides of `python -m src.ablate`")
    sizes = [f"{name}={count(cfg, name)}" for name in ("people", "prompts", "seeds")]
    common = [*(plain(cfg.overrides) or []), *sizes, f"runs={cfg.runs}", "logger=disabled", *handed_on(cfg)]
    return {
        (method, sampler): compose("ablate", [*common, *drawing, *learning])
        for method, learning in methods.items()
        for sampler, drawing in samplers.items()
    }


def costs_of(run: Run, people: Path) -> dict[str, Any]:
    """U-Net evaluations and seconds an image; seconds, GiB and MB to learn one person, 0 where nothing is learned.

    run: of a side; people: the folder of its people, with what each cost.
    """
    learned = [read_json(path) for path in sorted(people.glob("*.json"))]

    def mean(name: str, unit: float = 1.0) -> float:
        return round(sum(each[name] for each in learned) / len(learned) / unit, 3) if learned else 0.0

    image = {name: run.summary().get(name) for name in ("unet_evaluations", "seconds_an_image")}
    learning = {"learning s": mean("seconds"), "learning GiB": mean("peak_bytes", GIB)}
    learning |= {"MB a person": mean("bytes", 1e6), "photos": learned[0]["photos"] if learned else 0}
    return image | learning
