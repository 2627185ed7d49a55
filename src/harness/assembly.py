"""From a composed configuration to built parts on one device: base, methods with their networks, judges."""

import json
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from src.files.rows import Rows
from src.harness.build import build, plain
from src.harness.deciding import deciding, file_digests
from src.harness.device import device_of, let_go, memory_for, moved
from src.harness.judges import build_judges
from src.harness.settings import targets
from src.methods.method import Generate, Method, Passing, Sharing
from src.metrics.checks import check_lengths, look_at_photos
from src.metrics.evaluation import scored_rows
from src.metrics.judge import Judges
from src.models.base import TextToImage
from src.models.prompts import generic_prompt
from src.runs.store import to_picture
from src.tiny_world.manifest import check_manifest

# what to do about memory
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

    FileNotFoundError or ValueError for a shipped file that is missing, damaged or foreign.
    """
    if cfg.world.weights:
        check_manifest(Path(cfg.world.weights))
    nodes = {name: plain(OmegaConf.select(cfg, name)) for name in names}
    return {file: sha for name, node in nodes.items() for file, sha in file_digests(node, name).items()}


def changed(cfg: DictConfig, change: Mapping[str, Any]) -> DictConfig:
    """A copy of the configuration with some settings replaced; they are named by their dotted names."""
    copy = cfg.copy()
    for name, value in change.items():
        OmegaConf.update(copy, name, value, merge=False)
    return copy


def method_settings(cfg: DictConfig) -> dict[str, Any]:
    """What decides what a method learns: its settings without those of drawing and of speed, as plain data."""
    drawing = method_class(cfg).drawing
    return {name: value for name, value in deciding(plain(cfg.method)).items() if name not in drawing}


def method_class(cfg: DictConfig) -> type[Method]:
    """The class of the configured method. ValueError for a target that is not allowed."""
    return targets.allowed(str(cfg.method["_target_"]), "method")  # type: ignore[return-value]


def steps_learned(cfg: DictConfig) -> int | None:
    """For how many steps somebody is learned by a method that keeps whom fewer would have learned; None by others."""
    method = method_class(cfg)
    return OmegaConf.select(cfg.method, method.passes) if isinstance(method, Passing) else None


def shorter(cfg: DictConfig) -> dict[int, DictConfig]:
    """The configurations by which whoever is learned by this one was learned on the way: `passing`, by its steps."""
    own, method = steps_learned(cfg) or 0, method_class(cfg)
    wanted = [steps for steps in cfg.get("passing", ()) if steps < own]
    return {steps: changed(cfg, {f"method.{method.passes}": steps}) for steps in wanted}  # type: ignore[attr-defined]


def longest_first(sides: Mapping[str, DictConfig]) -> dict[str, DictConfig]:
    """Sides in the order in which one learning serves several: each keeps, on its way, whom the shorter ones learn."""
    steps = {name: steps_learned(side) or 0 for name, side in sides.items()}
    ways = {name: _way(side) for name, side in sides.items()}
    passing = {way: {steps[name] for name in sides if ways[name] == way} - {0} for way in ways.values()}
    order = sorted(sides, key=lambda name: -steps[name])
    return {
        name: changed(sides[name], {"passing": sorted({*sides[name].passing, *passing[ways[name]]})}) for name in order
    }


def _way(cfg: DictConfig) -> str:
    """What decides how somebody is learned, but for how many steps."""
    once = {f"method.{method_class(cfg).passes}": 1} if steps_learned(cfg) else {}  # type: ignore[attr-defined]
    return json.dumps([method_settings(changed(cfg, once)), plain(cfg.augmentation)], sort_keys=True)


class Assembly:
    """The parts that a configuration names, each built when it is first needed, and kept on the device or parked."""

    def __init__(self, cfg: DictConfig):
        self.cfg, self.device = cfg, device_of(cfg.device)
        self._placed: dict[str, Any] = {}
        self._parked: dict[str, Any] = {}  # on the CPU while judges are asked

    @property
    def base(self) -> TextToImage:
        """The text-to-image model."""
        return self._part("base", lambda: base_of(self.cfg, self.device))

    def method(self, cfg: DictConfig) -> Method:
        """The method of a configuration with its sampler and its trained networks."""
        trained = method_class(cfg).trained
        node = {name: value for name, value in plain(cfg.method).items() if name not in trained}
        networks = {name: self._network(cfg.method[name]) for name in trained}
        return build(node)(**networks, sampler=build(cfg.sampler))

    def _network(self, node: DictConfig) -> Any:
        """A trained network, frozen; one for all who name the same."""

        def made() -> Any:
            return moved(build(node).requires_grad_(False).eval(), self.device)

        return self._part(json.dumps(plain(node), sort_keys=True), made)

    def _part(self, name: str, make: Callable[[], Any]) -> Any:
        if name in self._parked:
            self._placed[name] = moved(self._parked.pop(name), self.device, self.cfg.offload)
        if name not in self._placed:
            self._placed[name] = make()
        return self._placed[name]

    def release(self) -> None:
        """Take the generator off the GPU, for others; it is back when it is asked for."""
        if self.device.type != "cpu":
            self._parked |= {name: part.to("cpu") for name, part in self._placed.items()}
            self._placed.clear()
        let_go(self.device)

    @cached_property
    def judges(self) -> Judges:
        """The judges of text and of identity."""
        return build_judges(self.cfg, ("text", "identity"), device=self.device)

    def check(self, cfg: DictConfig, prompts: Sequence[str], photos: int) -> None:
        """ValueError for a prompt, a sampler or a setting of the method that cannot be used with this base and so many
        photos of a person."""
        method = self.method(cfg)
        method.check(self.base, prompts, photos)
        method.sampler.parts(self.base.schedule(method.sampler.steps))

    def look_first(
        self, prompts: Sequence[str], photos: Mapping[str, Tensor], compared: Sequence[str] | None = None
    ) -> None:
        """Before anything is learned: what judges make of prompts, and of photos, name -> [3, H, W] in [-1, 1].

        compared: the photos that images are compared with, None: all. Prints what is to be said of faces; ValueError
        for a prompt that is too long for a judge, and for a photo that shows an identity judge no face.
        """
        generic = self.cfg.sampler.generic
        check_lengths(self.judges["text"], [generic_prompt(prompt, generic) for prompt in prompts])
        seen = {name: torch.from_numpy(to_picture(photo.cpu())).permute(2, 0, 1) for name, photo in photos.items()}
        for note in look_at_photos(self.judges["identity"], seen, compared=compared):
            print(note, flush=True)

    def prepare(self, method: Method, keep: Path) -> float:
        """The seconds that it took, now or before, to make what all people share; 0 for a method without."""
        with memory_for("making what all people share", "set a lower method.class_images.batch", self.device):
            return method.prepare(self.base, keep) if isinstance(method, Sharing) else 0.0

    def learn(self, method: Method, name: str, photos: Tensor, keep: Path, **more: Any) -> Generate:
        """Somebody, called `name` in messages: learned now, or known from `keep`. more: see `Method.learn`."""
        let_go(self.device)  # of whoever was drawn before
        lower = ", ".join(["set offload=true", *([method.memory] if method.memory else [])])
        with memory_for(f"learning {name}", lower, self.device):
            given = {"keep": keep, **more} if method.learns else {"people": more.get("people")}
            return method.learn(self.base, photos, **given)

    def score(self, folder: Path) -> Rows:
        """The rows of folder/images.csv with every judge's score."""
        self.release()
        with memory_for(f"judging {folder}", TO_JUDGE, self.device):
            return scored_rows(folder, self.judges, generic=self.cfg.sampler.generic)
