"""From a composed configuration to a study: what `ablate` and its like have in common."""

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from src.entry import PACKAGE, build, plain
from src.methods.profusion import ProFusion, Sampler
from src.metrics.score import score_folder
from src.models.base import TextToImage
from src.models.prompts import check_prompt
from src.results.digests import code_digest, digest, file_digest
from src.results.runs import Run
from src.results.store import locked
from src.results.study import Generate, Rows, Study
from src.tiny_world.manifest import check_manifest, weights_digest

CODE = ("diffusion.py", "sampling.py", "models", "data", "metrics", "learning", "methods", "results/study.py")


def world_weights(cfg: DictConfig) -> dict[str, str]:
    """What identifies the weights of a run's world; shipped ones are checked against their manifest first."""
    if cfg.world.weights:
        check_manifest(Path(cfg.world.weights))
        return {"world": weights_digest(Path(cfg.world.weights))}
    return base_weights(cfg)


def base_weights(cfg: DictConfig) -> dict[str, str]:
    """What identifies the base alone: the digests of a local folder's files, or the hub's name of it."""
    source = Path(cfg.base.folder_or_hub_id)
    files = sorted(source.rglob("*.safetensors")) if source.is_dir() else []
    return {str(p.relative_to(source)): file_digest(p) for p in files} or {"base": str(source)}


class Composed:
    """The parts that a configuration names, each built when it is first needed, and the study over them."""

    def __init__(self, cfg: DictConfig):
        self.cfg, self.world = cfg, cfg.world
        self.weights = world_weights(cfg)
        self.code = code_digest(PACKAGE, CODE)
        every = [(family, prompt) for family, prompts in plain(cfg.prompt_set).items() for prompt in prompts]
        self.prompts = _alternating(every)[: cfg.prompts]
        self.people = build(cfg.people_set)[: cfg.people]
        for name, number in (("people", len(self.people)), ("prompts", len(self.prompts)), ("seeds", cfg.seeds)):
            if number < 1:
                raise ValueError(f"{name} ({cfg[name]}) must be at least 1")
        self.every_prompt = [prompt for _, prompt in every]

    @cached_property
    def base(self) -> TextToImage:
        return build(self.cfg.base)

    def check_prompts(self) -> None:
        """Before a folder is made: ValueError for a prompt that this base cannot use."""
        for prompt in self.every_prompt:
            check_prompt(prompt, self.base.tokenizer, self.base.known_words)

    @cached_property
    def promptnet(self) -> Any:
        return build(self.cfg.promptnet).requires_grad_(False).eval()

    @cached_property
    def judges(self) -> dict[str, list[Any]]:
        return {
            kind: [build(judge) for judge in judges] for kind, judges in self.cfg.judges.items() if kind != "selecting"
        }

    def photo(self, person: int | str) -> Tensor:
        """Reference photos [P, 3, H, W]; nothing that any prompt of the set asks for is in them."""
        return build(self.world.reference)(person=person, prompts=self.every_prompt)

    def score(self, folder: Path) -> Rows:
        judges = self.judges
        return score_folder(folder, text=judges["text"], identity=judges["identity"], generic=self.cfg.sampler.generic)

    def study(self) -> Study:
        self.check_prompts()
        group = f"{self.world.name}-{len(self.people)}x{len(self.prompts)}x{self.cfg.seeds}"
        parts = {name: plain(self.cfg[name]) for name in ("base", "promptnet", "judges", "people_set", "prompt_set")}
        return Study(
            root=Path(self.cfg.runs),
            people=self.people,
            prompts=self.prompts,
            seeds=list(range(self.cfg.seeds)),
            photo=self.photo,
            score=self.score,
            identity=_without_paths({**parts, "reference": plain(self.world.reference)}),
            weights=self.weights,
            code=self.code,
            logger=plain(self.cfg.logger),
            group=group,
        )

    def method_side(self, study: Study, name: str, cfg: DictConfig, *, fresh_noise: int = 0) -> tuple[Run, Rows]:
        """The side of one configuration of `method` and `sampler`."""
        config = {"method": plain(cfg.method), "sampler": plain(cfg.sampler)}
        sampler: Sampler = build(cfg.sampler)
        method: Callable[..., ProFusion] = build(cfg.method)
        learned = Path(cfg.runs) / "people" / self._learned_key(config["method"])

        def meet(person: int | str) -> Generate:
            keep = learned / f"{person}.safetensors"
            with locked(keep.with_suffix(".lock"), f"person {person}"):
                full = method(promptnet=self.promptnet, sampler=sampler)
                return full.learn(self.base, self.photo(person), keep=keep)

        return study.side(name, config, meet, fresh_noise=fresh_noise, tags=[self.world.name])

    def _learned_key(self, method: dict[str, Any]) -> str:
        parts = {"method": method, "promptnet": self.cfg.promptnet, "prompts": self.every_prompt}
        own = _without_paths({**parts, "promptnet": plain(self.cfg.promptnet), "base": plain(self.cfg.base)})
        return digest(own, weights=self.weights, code=self.code)[:12]

    def anchors(self, study: Study) -> dict[str, tuple[Run, Rows]]:
        """Floors and ceilings: those that this world can give."""
        oracle, stranger = build(self.world.oracle), build(self.world.stranger)
        with_vae = lambda images: self.base.decode(self.base.encode(images))  # noqa: E731
        makers: dict[str, Callable[[Any], Generate]] = {
            "copy": lambda person: lambda prompt, seeds: self.photo(person)[:1].expand(len(seeds), -1, -1, -1)
        }
        if oracle and stranger:
            makers["other"] = lambda person: _drawn(stranger, person)
            makers["oracle"] = lambda person: _drawn(oracle, person)
            makers["oracle_vae"] = lambda person: _then(_drawn(oracle, person), with_vae)
        sides = {name: study.side(name, {"anchor": name}, make) for name, make in makers.items()}
        return {**sides, "generic": self.method_side(study, "generic", self._generic())}

    def _generic(self) -> DictConfig:
        """The generic prompt alone, whatever the fusion stage's settings are."""
        cfg = self.cfg.copy()
        text = {"fusion_steps": 0, "gamma": 1.0, "blend": "position", "joint": []}
        text |= {
            "separate": [{"prompt": "generic", "weight": "joint"}],
            "guidance": {"joint": cfg.sampler.guidance.joint},
        }
        for name, value in text.items():
            OmegaConf.update(cfg.sampler, name, value, merge=False)
        cfg.method.finetune = None
        return cfg


def _drawn(draw: Callable[..., Tensor], person: Any) -> Generate:
    return lambda prompt, seeds: torch.stack([draw(person=person, prompt=prompt, seed=seed) for seed in seeds])


def _then(generate: Generate, change: Callable[[Tensor], Tensor]) -> Generate:
    def both(prompt: str, seeds: Sequence[int]) -> Tensor:
        with torch.no_grad():
            return change(generate(prompt, seeds))

    return both


def _alternating(prompts: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Families in turn, so that a limited run has prompts of each."""
    families = list(dict.fromkeys(family for family, _ in prompts))
    columns = [[pair for pair in prompts if pair[0] == family] for family in families]
    longest = max(map(len, columns), default=0)
    return [column[k] for k in range(longest) for column in columns if k < len(column)]


def _without_paths(parts: Any) -> Any:
    """Paths inside this package are the same on every machine once written relative to it."""
    if isinstance(parts, dict):
        return {key: _without_paths(value) for key, value in parts.items()}
    if isinstance(parts, list):
        return [_without_paths(value) for value in parts]
    return parts.replace(str(PACKAGE), "src") if isinstance(parts, str) else parts
