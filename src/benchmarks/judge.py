"""What judging costs beside the judges' bare forward passes: `python -m src.bench judge images=500`."""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from omegaconf import DictConfig
from PIL import Image

from src.benchmarks.clock import seconds_of
from src.harness.build import count
from src.harness.device import begun
from src.harness.judges import Panel
from src.metrics.columns import FaceRule
from src.metrics.evaluation import evaluation_of
from src.metrics.judge import Judge, each
from src.metrics.pictures import Album
from src.metrics.scene import Scene
from src.metrics.walk import embed_scene

PEOPLE, PROMPTS = 10, 5


def run(cfg: DictConfig) -> None:
    device, images, size = begun(cfg), count(cfg, "images"), count(cfg, "size")
    panel, clock = Panel(cfg, device), Clock(device)
    panel.check(cfg.missing)
    if cfg.preflight_only:
        return print(panel.text(), flush=True)
    with TemporaryDirectory() as folder:
        scene = pictures(Path(folder), images, size)
        album = Album([*scene.images, *scene.photos])
        for judge in each(panel.here):
            clock.watch(judge, album.decode(album.paths[:2]))
        album.decode = clock.timed(album.decode, "decoding")  # type: ignore[method-assign]
        kept = panel.kept(Path(folder))
        first = seconds_of(lambda: judged(scene, panel, album, kept, cfg.batch), device)
        forward, decoding = clock.seconds.pop("forward"), clock.seconds.pop("decoding")
        again = seconds_of(lambda: judged(scene, panel, album, kept, cfg.batch), device)
    names = ", ".join(judge.name for judge in each(panel.here))
    print(f"judges {names} on {images} images of {size} pixels")
    print(f"forward passes {forward:.2f} s, all but decoding {first - decoding:.2f} s, decoding {decoding:.2f} s")
    print(f"again, nothing changed: {again:.2f} s")
    print(f"ratio to the bare forward passes: {(first - decoding) / forward:.3f}", flush=True)


class Clock:
    """Seconds spent in watched functions, by name."""

    def __init__(self, device: torch.device) -> None:
        self.device, self.seconds = device, dict[str, float]()

    def watch(self, judge: Judge, warm: list[Any]) -> None:
        """Time a judge's forward passes: of its nets, of its detector if it has one, and over prompts.

        Its nets are read before, and are not let go of: loading is no part of the measure.
        """
        judge.see(warm)
        judge.release = lambda: None  # type: ignore[method-assign]
        for name in ("forward", "detect", "say"):
            if hasattr(judge, name):
                setattr(judge, name, self.timed(getattr(judge, name), "forward"))

    def timed(self, act: Callable[..., Any], name: str) -> Callable[..., Any]:
        """The same function; its time is added up under `name`."""

        def run(*inputs: Any) -> Any:
            took = seconds_of(lambda: found.append(act(*inputs)), self.device)
            self.seconds[name] = self.seconds.get(name, 0.0) + took
            return found.pop()

        found: list[Any] = []
        return run


def pictures(folder: Path, count: int, size: int) -> Scene:
    """Noise in files, of PEOPLE people in PROMPTS scenes; a person's photo is another file."""
    rng, rows = np.random.default_rng(0), list[dict[str, Any]]()
    for number in range(count + PEOPLE):
        Image.fromarray(rng.integers(0, 256, (size, size, 3), dtype=np.uint8)).save(folder / f"{number}.png")
    for number in range(count):
        cell = {"person": str(number % PEOPLE), "prompt": f"a person in scene {number // PEOPLE % PROMPTS}"}
        rows.append({"file": f"{number}.png", **cell, "seed": number, "family": "own"})
    photos = [folder / f"{count + number % PEOPLE}.png" for number in range(count)]
    return Scene(rows, [folder / row["file"] for row in rows], photos, {})


def judged(scene: Scene, panel: Panel, album: Album, kept: dict[str, Path], batch: int) -> None:
    """Everything that `evaluate` does between reading files and writing tables."""
    evaluation_of(
        embed_scene(scene, panel.here, generic="a person", kept=kept, album=album, batch_size=batch), FaceRule()
    )
