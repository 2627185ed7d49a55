"""From a configuration to somebody on photos of one's own: what `personalise` looks at, learns and knows again."""

from functools import cached_property, partial
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig
from torch import Tensor

from src.data.photos import read_photos
from src.harness.assembly import Assembly, weights_of
from src.harness.build import build, count, plain
from src.harness.deciding import SIDE, code_of, deciding, portable
from src.harness.device import moved
from src.harness.variants import kept_variants, variants_of
from src.methods.method import Generate
from src.models.prompts import check_distinct
from src.runs.digests import digest, file_digest
from src.runs.run import Run


class OwnPhotos:
    """The photos, prompts and seeds of a configuration, and the person on them."""

    def __init__(self, cfg: DictConfig):
        self.cfg, self.parts = cfg, Assembly(cfg)
        settings = plain(cfg)
        self.settings = settings | {name: listed(settings[name]) for name in ("photo", "prompts")}
        self.paths, self.prompts = self.settings["photo"], self.settings["prompts"]
        self.seeds = list(range(cfg.seed, cfg.seed + count(cfg, "seeds")))
        self.names = [Path(path).stem for path in self.paths]  # by which masks are looked for

    @cached_property
    def photos(self) -> Tensor:
        """[P, 3, H, W] in [-1, 1]."""
        return moved(read_photos(self.paths, self.parts.base.image_size), self.parts.device)

    @cached_property
    def masks(self) -> Tensor:
        """[P, 1, H, W] in [0, 1]: where the person is. ValueError where nobody is found."""
        pairs, find = zip(self.photos, self.names, strict=True), build(self.cfg.augmentation.mask)
        return torch.cat([find(photo[None], name, self.prompts) for photo, name in pairs])

    def check(self) -> None:
        """Before a folder is made: ValueError for whatever of prompts, photos and settings cannot be used."""
        if not self.prompts:
            raise ValueError("prompts ([]) must hold at least one prompt, such as 'a photo of S* at the beach'")
        check_distinct(self.prompts)
        people, photos = self.settings["people"], len(self.paths)
        if people is not None and (not isinstance(people, list) or len(people) != photos):
            raise ValueError(f"people ({people}) must be a list of {photos}: whom each photo shows, such as [0,1]")
        weights_of(self.cfg, "base")  # shipped ones are checked
        self.parts.check(self.cfg, self.prompts, photos)
        pictures = dict(zip(self.paths, self.photos, strict=True))
        self.parts.look_first(self.prompts, pictures, compared=self.paths[:1])  # images are compared with the first
        if self.cfg.augmentation is not None:
            assert len(self.masks) == photos

    def key(self) -> str:
        """The digest of the run: of its settings, of the photos' content, and of their names where masks go by them."""
        decisive = deciding(self.settings)
        del decisive["promptnet"]  # a method that needs one names it
        decisive["names"] = None if self.cfg.augmentation is None else self.names
        decisive["photo"] = [file_digest(Path(path)) for path in self.paths]
        weights = weights_of(self.cfg, "base", "method", "judges", "augmentation")
        return digest(portable(decisive), weights=weights, code=code_of(SIDE, decisive["method"]))

    def learn(self, run: Run) -> Generate:
        """The person, learned now or known from the run, where what is learned is kept."""
        method, keep = self.parts.method(self.cfg), run.path("person.safetensors")
        variants = None if self.cfg.augmentation is None else lambda photos: self._variants(run, photos)
        more = {"variants": variants, "people": self.settings["people"]}
        person = self.parts.learn(method, "the person", self.photos, keep, **more)
        if method.learns:
            run.keep("person", keep)
        return person

    def _variants(self, run: Run, photos: Tensor) -> Tensor:
        """The photos and their variants, which are kept in the run with a contact sheet to look at."""
        kept, base = [], self.parts.base
        for k, name in enumerate(self.names):
            make = partial(variants_of, self.cfg.augmentation, base, photos[k : k + 1], self.masks[k : k + 1])
            kept.append(kept_variants(run.path("variants") / f"{k}-{name}", base.image_size, make))
        return moved(torch.cat(kept), self.parts.device)


def listed(value: Any) -> list[str]:
    """One path or prompt, or several."""
    return [value] if isinstance(value, str) else list(value)
