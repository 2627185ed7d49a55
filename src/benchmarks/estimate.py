"""What an image costs at the paper's size, from the operations that its networks need and what a card does of them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig

from src.benchmarks import report
from src.benchmarks.clock import flops_of, peak_flops
from src.benchmarks.scale import PROMPT, random_photos
from src.harness.build import build
from src.learning.tuned import untuned
from src.methods.profusion import person_of
from src.models.sources import widths_of
from src.statistics.table import Table

META = torch.device("meta")
Found = dict[str, Any]


def operations(paper: DictConfig) -> dict[str, float]:
    """FLOP of an image by each of `paper.samplers`, on tensors without numbers: the evaluations of the networks alone.

    An image of somebody whom nobody has learned costs what one of somebody learned costs.
    """
    base = build(paper.base, device="meta")
    with META:
        promptnet = build(paper.promptnet)(base.unet, **widths_of(base._modules))
    tuned = untuned(base, promptnet.requires_grad_(False).eval())
    person = person_of(tuned, random_photos(base, 1, META), build(next(iter(paper.samplers.values()))))
    found = {}
    for name, node in paper.samplers.items():
        person.sampler = build(node, steps=paper.steps)
        found[name] = float(flops_of(lambda: person(PROMPT, [0])))
    return found


def measured(folder: Path) -> tuple[str, dict[str, float]]:
    """The card of `bench gpu`'s run in that folder, and for each sampler its least seconds an image there; "", {}."""
    run = report.read(folder)
    rows = [row for name in report.SAMPLED for row in run["parts"].get(name, {}).get("rows", [])] if run else []
    fastest: dict[str, float] = {}
    for row in rows:
        if row["steps"] == report.STEPS:
            fastest[row["sampler"]] = min(row["seconds_per_image"], fastest.get(row["sampler"], float("inf")))
    return (str(run["about"]["card"]) if run and fastest else ""), fastest


def peaks_of(cards: Sequence[str]) -> dict[str, float]:
    """Each card's dense bfloat16 FLOP/s. ValueError for a card whose peak is not known."""
    peaks = {card: peak_flops(card) for card in cards}
    for card, peak in peaks.items():
        if peak is None:
            raise ValueError(f"cards ({card}) is not known: src/benchmarks/clock.py lists the peaks of others")
    return {card: peak for card, peak in peaks.items() if peak is not None}


def estimated(flop: Mapping[str, float], peaks: Mapping[str, float], share: float, folder: Path) -> Found:
    """{estimates, basis}: seconds an image on each card, from its peak and the share of it that *base* reached in the
    folder's run of `bench gpu`; at `share` where there is none."""
    card, fastest = measured(folder)
    peak = peak_flops(card) if card else None
    basis = f"at {share:.1%} of a card's dense bfloat16 peak, which is a guess"
    if peak and {"base"} <= fastest.keys() & flop.keys():
        share = flop["base"] / fastest["base"] / peak
        basis = f"at {share:.1%} of a card's dense bfloat16 peak, what *base* reached on {card} (gpu.md)"
    rows = [
        {
            "sampler": name,
            "tflop": each / 1e12,
            "to base": each / flop["base"] if "base" in flop else None,
            **{f"seconds, {of}": each / share / whole for of, whole in peaks.items()},
            "measured": fastest.get(name),
        }
        for name, each in flop.items()
    ]
    return {"estimates": rows, "basis": basis, "measured on": card}


def table(found: Mapping[str, Any]) -> Table:
    """Operations and estimates, with what was measured beside them."""
    head = {"tflop": "TFLOP an image", "measured": f"measured, {found['measured on']}"}
    hidden = {"measured"} if not found["measured on"] else set()
    rows = [
        {head.get(name, name): value for name, value in row.items() if name not in hidden} for row in found["estimates"]
    ]
    return Table(rows, [f"estimated {found['basis']}", "matrix products and convolutions, counted without computing"])
