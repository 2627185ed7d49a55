"""From a configuration to a study and its sides: methods, floors and ceilings over the same people and prompts."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from itertools import zip_longest
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from torch import Tensor
from tqdm import tqdm

from src.files.rows import Rows
from src.files.whole import locked
from src.harness.assembly import TO_DRAW, Assembly, changed, method_settings, shorter, weights_of
from src.harness.build import build, count, plain
from src.harness.deciding import PERSON, SIDE, code_of, deciding, portable
from src.harness.device import described, forget_peak, memory_for, moved, peak_memory, threads
from src.harness.parallel.crew import Crew
from src.harness.parallel.estimates import estimate, mean_costs, write_costs
from src.harness.parallel.progress import Estimate
from src.harness.study import Draw, Pictures, Study, one_by_one
from src.harness.variants import kept_variants, variants_of
from src.methods.anchors import anchor_makers
from src.methods.method import Generate, Method
from src.models.prompts import check_distinct
from src.runs.digests import digest
from src.runs.run import Run

DRAWN_BY = ("reference", "oracle", "stranger")  # of the world
SHOWN = ("people_set", *(f"world.{name}" for name in DRAWN_BY))  # what decides how people look
PROMPT_ONLY = {"_target_": "src.methods.prompt_only.PromptOnly", "_partial_": True}


class Sides:
    """The people, prompts and seeds of a configuration, and what methods, floors and ceilings make of them."""

    def __init__(self, cfg: DictConfig, crew: Crew | None = None):
        """crew: who learns and draws, None: this process."""
        self.cfg, self.world, self.parts, self.crew = cfg, cfg.world, Assembly(cfg), crew or Crew()
        self.device = self.parts.device
        self.weights = weights_of(cfg, "base", "method", "judges", *SHOWN)
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

    def check(self, *configurations: DictConfig) -> None:
        """Before a folder is made: ValueError for a method, a sampler or a prompt that this base cannot use, for a
        prompt that is too long for a judge, and for a reference photo that shows an identity judge no face."""
        for cfg in configurations:
            self.parts.check(cfg, self.every_prompt, len(self.photo(self.people[0], cfg)))
        shown = self.people if self.parts.judges["identity"] else []
        shown_photos = {f"the photo of {person}": self.photo(person)[0] for person in shown}
        self.parts.look_first([prompt for _, prompt in self.prompts], shown_photos)

    def photo(self, person: int | str, cfg: DictConfig | None = None) -> Tensor:
        """Reference photos [P, 3, H, W]; nothing that any prompt of the set asks for is in them."""
        reference = build((cfg or self.cfg).world.reference)
        return moved(reference(person=person, prompts=self.every_prompt), self.device)

    def study(self) -> Study:
        """The same people, prompts and seeds for every side."""
        names = ("base", "judges", "people_set", "prompt_set")
        settings = {name: plain(self.cfg[name]) for name in names} | {"generic": self.cfg.sampler.generic}
        settings |= {name: plain(self.world)[name] for name in DRAWN_BY} | self._rounded()
        return Study(
            root=Path(self.cfg.runs),
            people=self.people,
            prompts=self.prompts,
            seeds=self.seeds,
            photo=self.photo,
            score=self.parts.score,
            identity=portable(settings),
            weights=weights_of(self.cfg, "base", "judges", *SHOWN),
            code=code_of(SIDE),
            logger=plain(self.cfg.logger),
            group=f"{self.world.name}-{len(self.people)}x{len(self.prompts)}x{len(self.seeds)}",
            device=described(self.device),
            progress=self.crew.progress,
        )

    def expect(self, *sides: tuple[str, DictConfig]) -> None:
        """Names and configurations of the sides that a command makes beside floors and ceilings: how long it takes."""
        images = len(self.people) * len(self.prompts) * len(self.seeds)
        for name, cfg in (*sides, ("generic", self._generic())):
            kept = [self.people_folder(cfg) / f"{person}.safetensors" for person in self.people]
            self.crew.progress.expect(name, estimate(cfg, images, kept))
        for name in self._makers():
            self.crew.progress.expect(name, Estimate(images))

    def method_side(
        self, study: Study, name: str, cfg: DictConfig, *, fresh_noise: int = 0, role: str = "method"
    ) -> tuple[Run, Rows]:
        """The side of one configuration of `method` and `sampler`; `role` becomes a tag of its run."""
        draw = self.drawing(cfg)
        settings, study = self._of_method(study, cfg)
        learned = self.people_folder(cfg) if self.parts.method(cfg).learns else None
        if cfg.augmentation is not None:
            tqdm.write(f"variants: {self._variants_folder(cfg)}/*/sheet.png (look at them)")
        tags = [self.world.name, role]
        draw = self.crew.shared(draw, self.parts.release, self.cfg, cfg)
        return study.side(name, settings, draw, fresh_noise=fresh_noise, tags=tags, learned=learned)

    def learner(self, cfg: DictConfig) -> tuple[Method, Callable[[int | str], Generate]]:
        """The method of a configuration, and (person) -> somebody, learned now or known from an earlier run."""
        self._check_alike(cfg)
        method, variants = self.parts.method(cfg), self._variants(cfg)
        kept, passing = self.people_folder(cfg), {n: self.people_folder(own) for n, own in shorter(cfg).items()}

        def learn(person: int | str) -> Generate:
            own = variants and partial(variants, person)
            keep = kept / f"{person}.safetensors"
            with locked(keep.with_suffix(".lock"), f"person {person}") if method.learns else nullcontext():
                return self._learned(method, person, keep, passing, variants=own)

        return method, learn

    def drawing(self, cfg: DictConfig) -> Draw:
        """How people are learned, or known from earlier, and drawn in this process; it rounds as one of many does."""
        _, learn = self.learner(cfg)

        def draw(people: Sequence[Rows], fresh_noise: int) -> Iterator[Pictures]:
            with memory_for("drawing people", TO_DRAW, self.device), threads(self.cfg.threads):
                yield from one_by_one(learn)(people, fresh_noise)

        return draw

    def _learned(
        self, method: Method, person: int | str, keep: Path, passing: Mapping[int, Path], **more: Any
    ) -> Generate:
        """Somebody, learned now or known from `keep`; beside it is written what it cost to learn. passing: steps -> the
        folder of those who are learned for so many; who is not there yet is kept on the way."""
        photos, known = self.photo(person), keep.exists()
        once = self.parts.prepare(method, keep) if method.learns and not known else 0.0
        missing = {steps: folder / keep.name for steps, folder in passing.items() if not (folder / keep.name).exists()}
        more |= {"passing": missing} if missing and not known else {}
        forget_peak(self.device)
        began = time.time()
        learned = self.parts.learn(method, str(person), photos, keep, **more)
        if method.learns and not known:
            about = {"peak_bytes": peak_memory(self.device), "photos": len(photos), "device": described(self.device)}
            write_costs((keep, *missing.values()), began, once_seconds=once, **about)
        return learned

    def people_folder(self, cfg: DictConfig) -> Path:
        """Where the people of a configuration are kept, PERSON.safetensors each, with what each cost in PERSON.json."""
        return Path(cfg.runs) / "people" / self._learned_key(cfg)

    def costs(self, run: Run, cfg: DictConfig) -> dict[str, Any]:
        """Of a side's run: U-Net evaluations and seconds an image; what it took to learn one of its people, and all of
        them together: 0 where nothing is learned."""
        image = {name: run.summary().get(name) for name in ("unet_evaluations", "seconds_an_image")}
        files = [self.people_folder(cfg) / f"{person}.safetensors" for person in self.people]
        return {**image, **mean_costs(files), "photos": run.summary()["photos"]}

    def _check_alike(self, cfg: DictConfig) -> None:
        """ValueError for a side that changes what all sides have in common: it would be drawn without that change."""
        for name in ("base", "judges", "prompt_set", "tf32", *SHOWN):
            mine, its = (plain(OmegaConf.select(each, name)) for each in (self.cfg, cfg))
            if mine != its:
                raise ValueError(f"{name} ({its}) is the same for all sides of a study: set it for the whole command")

    def side_key(self, cfg: DictConfig, *, fresh_noise: int = 0) -> str:
        """The digest of the run that `method_side` makes of this configuration."""
        settings, study = self._of_method(self.study(), cfg)
        return study.key(settings, fresh_noise)

    def _of_method(self, study: Study, cfg: DictConfig) -> tuple[dict[str, Any], Study]:
        """What the side of a method adds to the study: its settings, its code, and the files that it reads."""
        settings = {name: deciding(plain(cfg[name]), name) for name in ("method", "sampler", "augmentation")}
        weights = {**study.weights, **weights_of(cfg, "method", "augmentation")}
        return settings, replace(study, weights=weights, code=code_of(SIDE, settings["method"]))

    def _learned_key(self, cfg: DictConfig) -> str:
        """What decides whether a person who was learned before is known: nothing of the sampler, the judges."""
        settings = {"method": method_settings(cfg), "augmentation": plain(cfg.augmentation), **self._photos()}
        weights = weights_of(self.cfg, "base", *SHOWN) | weights_of(cfg, "method", "augmentation")
        return digest(portable(settings), weights=weights, code=code_of(PERSON, settings["method"]))[:12]

    def _variants(self, cfg: DictConfig) -> Callable[[int | str, Tensor], Tensor] | None:
        """(person, photos) -> their stored variants; None without augmentation."""
        if cfg.augmentation is None:
            return None
        folder, size = self._variants_folder(cfg), self.parts.base.image_size

        def kept(person: int | str, photos: Tensor) -> Tensor:
            def made() -> Tensor:
                masks = build(cfg.augmentation.mask)(photos, person, self.every_prompt)
                return variants_of(cfg.augmentation, self.parts.base, photos, masks)

            return moved(kept_variants(folder / str(person), size, made), self.device)

        return kept

    def _variants_folder(self, cfg: DictConfig) -> Path:
        recipe = {"augmentation": plain(cfg.augmentation), **self._photos()}
        weights = weights_of(cfg, "base", *SHOWN, "augmentation")
        return Path(cfg.runs) / "variants" / digest(portable(recipe), weights=weights, code=code_of(PERSON))[:12]

    def _photos(self) -> dict[str, Any]:
        settings = {"prompts": self.every_prompt, "reference": plain(self.world.reference)}
        return {**settings, "base": plain(self.cfg.base), **self._rounded()}

    def _rounded(self) -> dict[str, Any]:
        """Whether a GPU rounds products: all that it computes is another then."""
        return {"tf32": True} if self.cfg.tf32 else {}

    def anchors(self, study: Study) -> dict[str, tuple[Run, Rows]]:
        """Floors and ceilings: those that this world can give."""
        tags = [self.world.name, "anchor"]
        every = self._makers().items()
        sides = {name: study.side(name, {"anchor": name}, one_by_one(make), tags=tags) for name, make in every}
        return {**sides, "generic": self.method_side(study, "generic", self._generic(), role="anchor")}

    def _makers(self) -> dict[str, Callable[[Any], Generate]]:
        given = {name: build(self.world[name]) for name in ("oracle", "stranger") if self.world[name]}
        return anchor_makers(self.photo, lambda: self.parts.base, **given)

    def _generic(self) -> DictConfig:
        """The generic prompt alone, whatever the method and the fusion stage's settings are."""
        text: dict[str, Any] = {"fusion_steps": 0, "gamma": 1.0, "blend": "position", "joint": [], "opening": []}
        text |= {"separate": [{"prompt": "generic", "weight": "joint"}]}
        text |= {"guidance": {"joint": self.cfg.sampler.guidance.joint}, "opening_share": 0.0}
        text |= {"closing_share": 0.0, "shortcuts": {"_target_": "src.sampling.Shortcuts"}}
        change = {f"sampler.{name}": value for name, value in text.items()}
        return changed(self.cfg, {**change, "method": PROMPT_ONLY, "augmentation": None})


def _alternating(prompts: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Families in turn, so that a limited run has prompts of each."""
    columns = [[pair for pair in prompts if pair[0] == family] for family in dict.fromkeys(name for name, _ in prompts)]
    return [pair for turn in zip_longest(*columns) for pair in turn if pair]
