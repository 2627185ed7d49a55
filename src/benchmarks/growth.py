"""How time and memory grow with what is drawn, and what that is at the paper's size: `python -m src.bench growth`."""

import json
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import torch
from omegaconf import DictConfig

from src.benchmarks import estimate
from src.benchmarks.clock import flops_of, seconds_of
from src.benchmarks.scale import PROMPT, random_photos
from src.files.whole import write_atomic
from src.harness.build import build, count, plain
from src.harness.device import GIB, begun, described, forget_peak, let_go, moved, peak_memory
from src.learning.finetune import Finetune
from src.learning.tuned import untuned
from src.methods.drawing import Sampler
from src.methods.profusion import person_of
from src.models.base import TextToImage
from src.models.personal import with_own_unet
from src.models.promptnet import PromptNet
from src.models.sources import widths_of
from src.reports.figures import lines
from src.reports.formats import to_markdown, to_text
from src.runs import provenance
from src.statistics.table import Table

UNITS = {"pixels": "edge of an image in pixels", "images": "images at once"}
UNITS |= {"conditions": "photos with an S* each", "people": "people learned and drawn"}
NOTES = [
    "seconds: an image, median of interleaved rounds; of people: all of them, from photo to picture",
    "GFLOP: matrix products and convolutions of all images together, decoding among them",
    "memory: the process's peak on a CPU, networks included",
]
Row = dict[str, Any]
Builder = Callable[..., PromptNet]
Work = Callable[[Sampler], None]


def run(cfg: DictConfig) -> None:
    peaks = estimate.peaks_of(list(cfg.cards))
    device = begun(cfg)
    base, found = moved(build(cfg.base), device), list[Row]()
    for row in grown(cfg, base):
        found.append(row)
        print(f"{row['axis']} {row['size']}, {row['sampler']}: {row['seconds']:.3f} s", flush=True)
    about = {"device": described(device), "machine": provenance.machine(), "date": provenance.now()}
    about |= {"commit": provenance.commit()["commit"], "steps": cfg.steps, "images": cfg.images}
    paper = estimate.estimated(estimate.operations(cfg.paper), peaks, cfg.share, Path(cfg.out))
    write_pages(Path(cfg.out), {"about": about, "rows": found, **paper})
    print(to_text(table(found)))
    print(f"{to_text(estimate.table(paper))}\npage: {Path(cfg.out) / 'growth.md'}", flush=True)


def grown(cfg: DictConfig, base: TextToImage) -> Iterator[Row]:
    """A row for each axis, size and sampler: seconds an image, operations, peak memory."""
    samplers = {name: build(node, steps=count(cfg, "steps")) for name, node in cfg.samplers.items()}
    for axis, size in ((axis, size) for axis, sizes in plain(cfg.axes).items() for size in sorted(sizes)):
        images = size if axis == "images" else count(cfg, "images")
        if axis == "people":
            finetune = build(cfg.method.finetune, steps=count(cfg, "learning_steps"))
            work, images = learning(base, build(cfg.promptnet), finetune, size, images), 1
        else:
            how = {axis: size} if axis != "images" else {}
            work = drawing(base, build(cfg.promptnet), images, **how)
        for name, row in rounds(work, samplers, base.device, count(cfg, "repeats")).items():
            yield {"axis": axis, "size": size, "sampler": name, **row, "seconds": row["seconds"] / images}


def drawing(
    base: TextToImage, promptnet: Builder, images: int, *, pixels: int | None = None, conditions: int = 1
) -> Work:
    """So many images at once of somebody whom nobody has learned, of that size and from so many photos."""
    base = resized(base, pixels) if pixels else base
    tuned, photos = untuned(base, new_promptnet(promptnet, base)), random_photos(base, conditions, base.device)

    def draw(sampler: Sampler) -> None:
        person_of(tuned, photos, sampler)(PROMPT, range(images))

    return draw


def learning(base: TextToImage, promptnet: Builder, finetune: Finetune, people: int, images: int) -> Work:
    """So many people learned and kept, then drawn one after the other, the images of each at once."""
    net, photos = new_promptnet(promptnet, base), random_photos(base, people, base.device)

    def learn_and_draw(sampler: Sampler) -> None:
        kept = [person_of(finetune(base, net, photo[None]), photo[None], sampler) for photo in photos]
        for person in kept:
            person(PROMPT, range(images))

    return learn_and_draw


def rounds(work: Work, samplers: Mapping[str, Sampler], device: torch.device, repeats: int) -> dict[str, Row]:
    """For each sampler operations, the median seconds of `repeats` rounds by turns, and the peak of memory."""
    # the first call of each is the one that is counted, and none of those that are timed
    counted = {name: flops_of(partial(work, sampler)) for name, sampler in samplers.items()}
    seconds: dict[str, list[float]] = {name: [] for name in samplers}
    peaks = dict.fromkeys(samplers, 0)
    for name, sampler in (each for _ in range(repeats) for each in samplers.items()):
        let_go(device)
        forget_peak(device)
        seconds[name].append(seconds_of(partial(work, sampler), device))
        peaks[name] = max(peaks[name], peak_memory(device))
    return {
        name: {"seconds": median(own), "gflop": counted[name] / 1e9, "peak_gib": peaks[name] / GIB}
        for name, own in seconds.items()
    }


def resized(base: TextToImage, pixels: int) -> TextToImage:
    """The base with a U-Net of the same tensors for images of that edge. ValueError for one that does not divide."""
    shrinks = base.image_size // base.latent_shape[1]
    least = shrinks * 2 ** (len(base.unet.config.block_out_channels) - 1)
    if pixels % least:
        raise ValueError(f"axes.pixels ({pixels}) must be a multiple of {least}")
    own = with_own_unet(base)
    own.unet.register_to_config(sample_size=pixels // shrinks)
    return own


def new_promptnet(promptnet: Builder, base: TextToImage) -> PromptNet:
    """One that begins at this base, for its size."""
    return moved(promptnet(base.unet, **widths_of(base._modules)), base.device).requires_grad_(False).eval()


def table(found: list[Row]) -> Table:
    """All that was measured."""
    shown = [
        {
            "what grows": row["axis"],
            "to": row["size"],
            "sampler": row["sampler"],
            "seconds": float(row["seconds"]),
            "GFLOP": round(row["gflop"]),
            "peak GiB": float(row["peak_gib"]),
        }
        for row in found
    ]
    return Table(shown, NOTES)


def write_pages(folder: Path, found: Mapping[str, Any]) -> None:
    """growth.json, growth.md and growth.png."""
    write_atomic(folder / "growth.json", (json.dumps(found, indent=1) + "\n").encode())
    write_atomic(folder / "growth.png", lines(panels(found["rows"])))
    about = ", ".join(f"{name} {value}" for name, value in found["about"].items())
    parts = ["# How cost grows", "Written by `python -m src.bench growth`.", f"{about}."]
    parts += ["![seconds and memory against what grows](growth.png)", to_markdown(table(found["rows"]))]
    parts += ["## At the paper's size", to_markdown(estimate.table(found))]
    write_atomic(folder / "growth.md", ("\n\n".join(part.strip() for part in parts) + "\n").encode())


def panels(found: list[Row]) -> list[dict[str, Any]]:
    """Seconds and memory of each axis, a line for each sampler."""
    axes = dict.fromkeys(row["axis"] for row in found)
    return [
        {
            "x": UNITS[axis],
            "y": unit,
            "log": column == "seconds",
            "lines": {
                name: [(row["size"], row[column]) for row in found if (row["axis"], row["sampler"]) == (axis, name)]
                for name in dict.fromkeys(row["sampler"] for row in found)
            },
        }
        for column, unit in (("seconds", "seconds"), ("peak_gib", "peak GiB"))
        for axis in axes
    ]
