"""From a composed configuration to a study: what `ablate` and its like have in common."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from src.files.whole import locked
from src.harness.build import build, count, plain
from src.harness.deciding import PERSON, SIDE, code_of, deciding, portable
from src.harness.device import described, device_of, let_go, memory_for, moved
from src.harness.judges import build_judges, file_digests
from src.harness.study import Generate, Rows, Study
from src.harness.variants import kept_variants
from src.methods.profusion import ProFusion, Sampler
from src.metrics.checks import check_lengths, look_at_photos
from src.metrics.evaluation import scored_rows
from src.metrics.judge import Judges
from src.metrics.scene import PLACEHOLDER
from src.models.base import TextToImage
from src.models.promptnet import PromptNet
from src.models.prompts import check_distinct, check_prompt
from src.runs.digests import digest
from src.runs.mirror import MODES
from src.runs.run import Run
from src.runs.store import to_picture
from src.tiny_world.manifest import check_manifest

SHOWN = ("people_set", "world.reference", "world.oracle", "world.stranger")  # what decides how people look


# what to do about memory
TO_LEARN = "set method.finetune.gradient_checkpointing=true, offload=true, or a lower method.finetune.batch"
TO_DRAW = "set a lower sampler.batch, such as 1, or offload=true"
TO_JUDGE = "choose smaller judges"


def base_of(cfg: DictConfig, device: torch.device) -> TextToImage:
    """The text-to-image model on a device, its blocks compiled and its encoders offloaded as the command says."""
    with memory_for("loading the base", "set base.dtype=bfloat16 or offload=true", device):
        base: TextToImage = moved(build(cfg.base), device, offload=cfg.offload)
    base.compiled = bool(cfg.compile)  # `recorded` stays off until a GPU has shown that a replay is the call
    return base


def weights_of(cfg: DictConfig, *names: str) -> dict[str, str]:
    """The SHA-256 of every file that these parts of a configuration name; shipped ones are checked first.

    Raises:
        FileNotFoundError, ValueError: a shipped file is missing, damaged or foreign.
    """
    if cfg.world.weights:
        check_manifest(Path(cfg.world.weights))
    digests: dict[str, str] = {}
    for name in names:
        for path in _paths(plain(OmegaConf.select(cfg, name))):
            digests |= file_digests(path)
    return digests


def _paths(node: Any) -> Iterator[Path]:
    """Every string in plain data that is a path of something that exists."""
    if isinstance(node, dict | list):
        for value in node.values() if isinstance(node, dict) else node:
            yield from _paths(value)
    elif isinstance(node, str) and os.path.exists(node.removeprefix("local-dir:")):
        yield Path(node.removeprefix("local-dir:"))


def check_logger(cfg: DictConfig) -> None:
    """ValueError for a mode that Weights & Biases does not have, before a folder is made."""
    if cfg.logger.mode not in MODES:
        raise ValueError(f"logger.mode ({cfg.logger.mode}) must be one of {', '.join(MODES)}")


class Composed:
    """The parts that a configuration names, each built when it is first needed, and the study over them."""

    def __init__(self, cfg: DictConfig):
        check_logger(cfg)
        self.cfg, self.world, self.device = cfg, cfg.world, device_of(cfg.device)
        self._parked: dict[str, Any] = {}  # on the CPU while judges are asked
        self.weights = weights_of(cfg, "base", "promptnet", "judges", *SHOWN)
        every = [(family, prompt) for family, prompts in plain(cfg.prompt_set).items() for prompt in prompts]
        if not every:
            raise ValueError(
                "prompt_set holds no prompt: give it at least one, such as after=['a photo of S* at the beach']"
            )
        check_distinct([prompt for _, prompt in every])
        everybody = build(cfg.people_set)
        self.prompts = _alternating(every)[: count(cfg, "prompts", len(every))]
        self.people = everybody[: count(cfg, "people", len(everybody))]
        self.seeds = list(range(count(cfg, "seeds")))
        self.every_prompt = [prompt for _, prompt in every]

    @cached_property
    def base(self) -> TextToImage:
        """The text-to-image model."""
        parked = self._parked.pop("base", None)
        return moved(parked, self.device, self.cfg.offload) if parked is not None else base_of(self.cfg, self.device)

    @cached_property
    def promptnet(self) -> PromptNet:
        """The pre-trained encoder, frozen."""
        parked = self._parked.pop("promptnet", None)
        net = build(self.cfg.promptnet).requires_grad_(False).eval() if parked is None else parked
        return moved(net, self.device)

    def release(self) -> None:
        """Take the generator off the GPU, for others; it is back when it is asked for."""
        parts = [name for name in ("base", "promptnet") if name in self.__dict__ and self.device.type != "cpu"]
        self._parked |= {name: self.__dict__.pop(name).to("cpu") for name in parts}
        let_go(self.device)

    @cached_property
    def judges(self) -> Judges:
        """The judges of text and of identity."""
        return build_judges(self.cfg, ("text", "identity"), device=self.device)

    def check(self, *configurations: DictConfig) -> None:
        """Before a folder is made: ValueError for a prompt or a sampler that this base cannot use, for a prompt that is
        too long for a judge, and for a reference photo that shows an identity judge no face."""
        for prompt in self.every_prompt:
            check_prompt(prompt, self.base.tokenizer, self.base.known_words, self.promptnet.num_pseudo_tokens)
        for cfg in configurations:
            self.base.schedule(build(cfg.sampler).steps)
            build(cfg.method)
        shown = self.people if self.judges["identity"] else []
        photos = {f"the photo of {person}": self.photo(person)[0] for person in shown}
        look_first(self.cfg, self.judges, [prompt for _, prompt in self.prompts], photos)

    def photo(self, person: int | str) -> Tensor:
        """Reference photos [P, 3, H, W]; nothing that any prompt of the set asks for is in them."""
        return moved(build(self.world.reference)(person=person, prompts=self.every_prompt), self.device)

    def score(self, folder: Path) -> Rows:
        """The rows of folder/images.csv with every judge's score."""
        self.release()
        with memory_for(f"judging {folder}", TO_JUDGE, self.device):
            return scored_rows(folder, self.judges, generic=self.cfg.sampler.generic)

    def study(self) -> Study:
        """The same people, prompts and seeds for every side."""
        names = ("base", "promptnet", "judges", "people_set", "prompt_set")
        parts = {name: plain(self.cfg[name]) for name in names} | {"generic": self.cfg.sampler.generic}
        parts |= {name: plain(self.world)[name] for name in ("reference", "oracle", "stranger")} | self._rounded()
        return Study(
            root=Path(self.cfg.runs),
            people=self.people,
            prompts=self.prompts,
            seeds=self.seeds,
            photo=self.photo,
            score=self.score,
            identity=portable(parts),
            weights=self.weights,
            code=code_of(SIDE),
            logger=plain(self.cfg.logger),
            group=f"{self.world.name}-{len(self.people)}x{len(self.prompts)}x{len(self.seeds)}",
            device=described(self.device),
        )

    def method_side(
        self, study: Study, name: str, cfg: DictConfig, *, fresh_noise: int = 0, role: str = "method"
    ) -> tuple[Run, Rows]:
        """The side of one configuration of `method` and `sampler`; `role` becomes a tag of its run."""
        config, study = self._side(study, cfg)
        sampler: Sampler = build(cfg.sampler)
        method: Callable[..., ProFusion] = build(cfg.method)
        learned = Path(cfg.runs) / "people" / self._learned_key(config, weights_of(cfg, "augmentation"))
        variants = self._variants(cfg)

        def meet(person: int | str) -> Generate:
            keep = learned / f"{person}.safetensors"
            let_go(self.device)  # of whoever was drawn before
            with memory_for(f"learning {person}", TO_LEARN, self.device):
                return self._learned(method(promptnet=self.promptnet, sampler=sampler), person, keep, variants)

        keeps = learned if plain(cfg.method)["finetune"] else None
        tags = [self.world.name, role]
        with memory_for(f"drawing for {name}", TO_DRAW, self.device):
            return study.side(name, config, meet, fresh_noise=fresh_noise, tags=tags, learned=keeps)

    def _learned(self, full: ProFusion, person: int | str, keep: Path, variants: Any) -> Generate:
        """Somebody, learned now or known from `keep`."""
        photos = self.photo(person)
        if full.finetune is None:
            return full.learn(self.base, photos)
        with locked(keep.with_suffix(".lock"), f"person {person}"):
            return full.learn(self.base, photos, keep=keep, variants=variants and partial(variants, person))

    def side_key(self, cfg: DictConfig, *, fresh_noise: int = 0) -> str:
        """The digest of the run that `method_side` makes of this configuration."""
        config, study = self._side(self.study(), cfg)
        return study.key(config, fresh_noise)

    def _side(self, study: Study, cfg: DictConfig) -> tuple[dict[str, Any], Study]:
        """What one side adds to the study: its configuration, and the files that its augmentation reads."""
        config = {name: deciding(plain(cfg[name]), name) for name in ("method", "sampler", "augmentation")}
        return config, replace(study, weights={**study.weights, **weights_of(cfg, "augmentation")})

    def _variants(self, cfg: DictConfig) -> Callable[[int | str, Tensor], Tensor] | None:
        """(person, photos) -> their stored variants; None without augmentation."""
        if cfg.augmentation is None:
            return None
        recipe = {"augmentation": plain(cfg.augmentation), **self._photos()}
        weights = weights_of(cfg, "base", *SHOWN, "augmentation")
        key = digest(portable(recipe), weights=weights, code=code_of(PERSON))
        folder, size = Path(cfg.runs) / "variants" / key[:12], self.base.image_size
        print(f"variants: {folder}/*/sheet.png (look at them)", flush=True)

        def kept(person: int | str, photos: Tensor) -> Tensor:
            made = partial(augmented, cfg.augmentation, self.base, photos, person, self.every_prompt)
            return moved(kept_variants(folder / str(person), size, made), self.device)

        return kept

    def _photos(self) -> dict[str, Any]:
        """What decides how reference photos look, and what a base makes of them."""
        parts = {"prompts": self.every_prompt, "reference": plain(self.world.reference), "base": plain(self.cfg.base)}
        return parts | self._rounded()

    def _rounded(self) -> dict[str, Any]:
        """Whether a GPU rounds products: all that it computes is another then."""
        return {"tf32": True} if self.cfg.tf32 else {}

    def _learned_key(self, config: Mapping[str, Any], files: Mapping[str, str]) -> str:
        """What decides whether a person who was learned before is known: nothing of the sampler, the judges.

        files: the digests of those that the augmentation reads.
        """
        parts = {"finetune": config["method"]["finetune"], "augmentation": config["augmentation"], **self._photos()}
        parts["promptnet"] = plain(self.cfg.promptnet)
        weights = {**weights_of(self.cfg, "base", "promptnet", *SHOWN), **files}
        return digest(portable(parts), weights=weights, code=code_of(PERSON))[:12]

    def anchors(self, study: Study) -> dict[str, tuple[Run, Rows]]:
        """Floors and ceilings: those that this world can give."""
        makers: dict[str, Callable[[Any], Generate]] = {"copy": lambda person: _copied(self.photo(person))}
        if self.world.oracle and self.world.stranger:
            oracle, stranger = build(self.world.oracle), build(self.world.stranger)
            makers["other"] = lambda person: _drawn(stranger, person)
            makers["oracle"] = lambda person: _drawn(oracle, person)
            makers["oracle_vae"] = lambda person: _through_vae(self.base, _drawn(oracle, person))
        tags = [self.world.name, "anchor"]
        sides = {name: study.side(name, {"anchor": name}, make, tags=tags) for name, make in makers.items()}
        return {**sides, "generic": self.method_side(study, "generic", self._generic(), role="anchor")}

    def _generic(self) -> DictConfig:
        """The generic prompt alone, whatever the fusion stage's settings are."""
        text: dict[str, Any] = {"fusion_steps": 0, "gamma": 1.0, "blend": "position", "joint": [], "opening": []}
        text |= {"separate": [{"prompt": "generic", "weight": "joint"}]}
        text |= {"guidance": {"joint": self.cfg.sampler.guidance.joint}, "opening_share": 0.0}
        change = {f"sampler.{name}": value for name, value in text.items()}
        return changed(self.cfg, {**change, "method.finetune": None})


def augmented(
    augmentation: DictConfig, base: TextToImage, photos: Tensor, person: int | str, prompts: Sequence[str]
) -> Tensor:
    """Each photo of [P, 3, H, W] and its variants, one after the other. ValueError where no subject is found."""
    augment, inpaint = build(augmentation.augment), build(augmentation.inpainter)(base)
    masks = build(augmentation.mask)(photos, person, prompts)
    return torch.cat([augment(photo, mask, inpaint) for photo, mask in zip(photos, masks, strict=True)])


def look_first(
    cfg: DictConfig,
    judges: Judges,
    prompts: Sequence[str],
    photos: Mapping[str, Tensor],
    compared: Sequence[str] | None = None,
) -> None:
    """Before anything is learned: what judges make of prompts, and of photos, name -> [3, H, W] in [-1, 1].

    compared: the photos that images are compared with, None: all. Prints what is to be said of faces; ValueError for a
    prompt that is too long for a judge, and for a photo that shows an identity judge no face.
    """
    check_lengths(judges["text"], [prompt.replace(PLACEHOLDER, cfg.sampler.generic) for prompt in prompts])
    seen = {name: torch.from_numpy(to_picture(photo.cpu())).permute(2, 0, 1) for name, photo in photos.items()}
    for note in look_at_photos(judges["identity"], seen, compared=compared):
        print(note, flush=True)


def changed(cfg: DictConfig, change: Mapping[str, Any]) -> DictConfig:
    """A copy of the configuration with some settings replaced; they are named by their dotted names."""
    copy = cfg.copy()
    for name, value in change.items():
        OmegaConf.update(copy, name, value, merge=False)
    return copy


def _copied(photos: Tensor) -> Generate:
    return lambda prompt, seeds: photos[:1].expand(len(seeds), -1, -1, -1)


def _drawn(draw: Callable[..., Tensor], person: Any) -> Generate:
    def each(prompt: str | Sequence[str], seeds: Sequence[int]) -> Tensor:
        prompts = [prompt] * len(seeds) if isinstance(prompt, str) else prompt
        return torch.stack(
            [draw(person=person, prompt=own, seed=seed) for own, seed in zip(prompts, seeds, strict=True)]
        )

    return each


def _through_vae(base: TextToImage, generate: Generate) -> Generate:
    @torch.no_grad()
    def decoded(prompt: str | Sequence[str], seeds: Sequence[int]) -> Tensor:
        return base.decode(base.encode(moved(generate(prompt, seeds), base.device)))

    return decoded


def _alternating(prompts: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Families in turn, so that a limited run has prompts of each."""
    families = list(dict.fromkeys(family for family, _ in prompts))
    columns = [[pair for pair in prompts if pair[0] == family] for family in families]
    longest = max(map(len, columns), default=0)
    return [column[k] for k in range(longest) for column in columns if k < len(column)]
