"""The sides of a claim: what each is asked to do, and the PromptNet it starts from."""

from collections.abc import Mapping, Sequence
from typing import Any

from omegaconf import DictConfig

from src.harness.assembly import changed
from src.harness.build import count, plain
from src.harness.compose import compose
from src.harness.deciding import deciding
from src.harness.device import handed_on
from src.harness.pretraining import ORDERS, regularised
from src.runs.run import Run

PENALTY = "learning.penalty="  # a side's override that speaks of pre-training


def asked(cfg: DictConfig, claim: Mapping[str, Any]) -> tuple[list[str], dict[str, DictConfig]]:
    """What all sides have in common, and the configuration of each."""
    settings = [
        *(plain(cfg.overrides) or []),
        *(f"{name}={count(cfg, name)}" for name in ("people", "prompts", "seeds")),
    ]
    common = [*settings, f"runs={cfg.runs}", "logger=disabled", *handed_on(cfg)]
    return settings, {name: side(common, own) for name, own in claim["sides"].items()}


def side(common: Sequence[str], own: Sequence[str]) -> DictConfig:
    """What `python -m src.ablate` would hold against the full method with these overrides."""
    cfg = compose("ablate", [*common, *(override for override in own if not override.startswith(PENALTY))])
    return changed(cfg, cfg.ablation.change)


def decisive(config: DictConfig) -> dict[str, Any]:
    """What of a side's configuration decides its images and scores."""
    own = ("method", "sampler", "augmentation", "base", "promptnet", "judges", "people_set", "prompt_set")
    shown = {name: plain(config.world[name]) for name in ("reference", "oracle", "stranger")}
    rounded = {"tf32": True} if config.tf32 else {}
    return {**{name: deciding(plain(config[name]), name) for name in own}, "world": shown, **rounded}


def pretraining(cfg: DictConfig, own: Sequence[str]) -> dict[str, Any]:
    """How the PromptNet of a side with a penalty comes about; nothing for a side without."""
    if not penalties(own):
        return {}
    study, training = compose("regularisation", [f"runs={cfg.runs}"]), compose("train", ORDERS)
    steps = {name: study[name] for name in ("early_steps", "further_steps")}
    return {
        "pretraining": {
            **steps,
            **{name: deciding(plain(training[name])) for name in ("learning", "data", "trainer", "seed")},
        }
    }


def penalties(own: Sequence[str]) -> list[float]:
    """The lambda that a side's overrides name, if they do."""
    return [float(override.removeprefix(PENALTY)) for override in own if override.startswith(PENALTY)]


def pretrained(cfg: DictConfig, own: Sequence[str]) -> list[Run]:
    """The trainings, now or before, of a PromptNet under a side's penalty; none for a side without one."""
    study = compose("regularisation", [f"runs={cfg.runs}", *handed_on(cfg)])
    return [run for penalty in penalties(own)[-1:] for run in regularised(study, penalty)]


def with_promptnet(side: DictConfig, trainings: Sequence[Run]) -> DictConfig:
    """The side, with the PromptNet that came out of the last of its trainings if it has any."""
    return changed(side, {"promptnet.folder": str(trainings[-1].path("promptnet"))}) if trainings else side
