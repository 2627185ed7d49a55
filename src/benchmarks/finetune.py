"""What it takes to learn one person by each method, and how much of a step is bare: `python -m src.bench finetune`."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from threading import Barrier
from typing import Any

import torch
from omegaconf import DictConfig
from torch import Tensor, nn

from src.benchmarks.clock import waited
from src.files.whole import write_atomic
from src.harness.assembly import Assembly
from src.harness.build import count, plain
from src.harness.compose import compose
from src.harness.device import GIB, begun, described, forget_peak, handed_on, peak_memory
from src.harness.preflight.needs import check, needs_of, show
from src.harness.sides import Sides
from src.reports.formats import to_markdown, to_text
from src.runs import provenance
from src.statistics.table import Table

NOTES = [
    "one person: seconds from photo to what is kept, median of interleaved rounds; of it a step, without the first",
    "bare: the forward passes of all networks and the backward pass within those same steps; ratio: of step to bare",
    "once: what all people share, such as images of their class; memory: the process's peak on a CPU",
    "together: seconds a person where every core of a CPU learns people, in a process of one thread each",
]
Row = dict[str, Any]
PEOPLE_EACH = 2
READY = 600  # seconds in which every process must have loaded its networks; without one the others would wait for ever


def run(cfg: DictConfig) -> None:
    begun(cfg)
    configs = {
        name: compose("ablate", [*(plain(cfg.overrides) or []), f"runs={cfg.runs}", *own, *handed_on(cfg)])
        for name, own in plain(cfg.methods).items()
        if own is not None
    }
    if not configs:
        raise ValueError(f"methods ({plain(cfg.methods)}) must name at least one, with its overrides of ablate")
    for config in configs.values():
        (show if cfg.preflight_only else check)(config, needs_of(config, "ablate"))
    if cfg.preflight_only:
        return
    first = next(iter(configs.values()))
    parts, sides = Assembly(first), Sides(first)
    sides.check(*configs.values())
    rounds: dict[str, list[Row]] = {name: [] for name in configs}
    with TemporaryDirectory() as folder:
        for number in range(count(cfg, "repeats")):
            for name, config in configs.items():
                keep = Path(folder) / "people" / name / f"{number}.safetensors"
                rounds[name].append(learned(parts, config, sides.photo(sides.people[0]), keep))
                print(f"{name}: {rounds[name][-1]['seconds']:.2f} s", flush=True)
        many = configs if parts.device.type == "cpu" else {}
        at_once = {name: together(config, f"{folder}/together/{name}") for name, config in many.items()}
    about: dict[str, Any] = {
        "device": described(parts.device),
        "machine": provenance.machine(),
        "date": provenance.now(),
    }
    about |= {"commit": provenance.commit()["commit"], "threads": torch.get_num_threads()}
    rows = [{"method": name, **medians(own), "together": at_once.get(name)} for name, own in rounds.items()]
    write_pages(Path(cfg.out), {"about": about, "rows": rows})
    print(to_text(table(rows)))
    print(f"page: {Path(cfg.out) / 'finetune.md'}", flush=True)


def learned(parts: Assembly, config: DictConfig, photos: Tensor, keep: Path) -> Row:
    """One person, learned now: what it took."""
    method = parts.method(config)
    once = parts.prepare(method, keep) if method.learns else 0.0
    forget_peak(parts.device)
    start = waited(parts.device)
    with clocked(parts.device) as clock:
        parts.learn(method, keep.stem, photos, keep)
    seconds = waited(parts.device) - start
    size = keep.stat().st_size / 1e6 if keep.exists() else 0.0
    return {
        "seconds": seconds,
        **clock.steps(),
        "once": once,
        "gib": peak_memory(parts.device) / GIB,
        "megabytes": size,
    }


def together(config: DictConfig, folder: str) -> float:
    """Seconds a person where as many processes of one thread as there are threads here each learn PEOPLE_EACH."""
    context, processes = get_context("spawn"), torch.get_num_threads()
    with context.Manager() as manager, ProcessPoolExecutor(processes, mp_context=context) as pool:
        start = manager.Barrier(processes)
        own = [pool.submit(_one_of_many, config, f"{folder}/{k}", start) for k in range(processes)]
        moments = [each.result() for each in own]
    begun_at, ended_at = (column for column in zip(*moments, strict=True))
    return (max(ended_at) - min(begun_at)) / (processes * PEOPLE_EACH)


def _one_of_many(config: DictConfig, folder: str, start: Barrier) -> tuple[float, float]:
    """When one process began and ended, on a clock that all have in common; they begin when all are ready."""
    torch.set_num_threads(1)
    parts, sides = Assembly(config), Sides(config)
    photos, method = sides.photo(sides.people[0]), parts.method(config)
    keeps = [Path(folder) / f"{number}.safetensors" for number in range(PEOPLE_EACH)]
    if method.learns:
        parts.prepare(method, keeps[0])
    start.wait(READY)
    began = time.monotonic()
    for keep in keeps:
        parts.learn(method, keep.stem, photos, keep)
    return began, time.monotonic()


class Clock:
    """Seconds in networks and backward passes so far, and both at the end of every backward pass."""

    def __init__(self, device: torch.device):
        self.device, self.bare, self.marks = device, 0.0, list[tuple[float, float]]()
        self._depth, self._began = 0, 0.0

    def enter(self) -> None:
        self._depth += 1
        if self._depth == 1:
            self._began = waited(self.device)

    def leave(self) -> None:
        self._depth -= 1
        if self._depth == 0:
            self.bare += waited(self.device) - self._began

    def steps(self) -> Row:
        """How many steps there were; milliseconds of one and of what is bare of it; both over all but the first."""
        if len(self.marks) < 2:
            return {"steps": len(self.marks), "step": None, "bare": None}
        (start, before), (end, after) = self.marks[0], self.marks[-1]
        share = 1000 / (len(self.marks) - 1)
        return {"steps": len(self.marks), "step": (end - start) * share, "bare": (after - before) * share}


@contextmanager
def clocked(device: torch.device) -> Iterator[Clock]:
    """Watch every network that is called, outermost calls alone, and every backward pass, within the block."""
    clock, backward = Clock(device), Tensor.backward

    def timed_backward(self: Tensor, *args: Any, **more: Any) -> None:
        clock.enter()
        backward(self, *args, **more)
        clock.leave()
        clock.marks.append((waited(device), clock.bare))

    before = nn.modules.module.register_module_forward_pre_hook(lambda *_: clock.enter())
    after = nn.modules.module.register_module_forward_hook(lambda *_: clock.leave())
    Tensor.backward = timed_backward  # type: ignore[method-assign]
    try:
        yield clock
    finally:
        Tensor.backward = backward  # type: ignore[method-assign]
        before.remove()
        after.remove()


def medians(rounds: list[Row]) -> Row:
    """The median of each number over rounds, and of the ratio of a step to what is bare of it in the same round."""
    row = {name: None if rounds[0][name] is None else median(own[name] for own in rounds) for name in rounds[0]}
    return {**row, "ratio": None if row["step"] is None else median(own["step"] / own["bare"] for own in rounds)}


def table(rows: list[Row]) -> Table:
    """A row for each method."""
    shown = [
        {
            "method": row["method"],
            "s a person": float(row["seconds"]),
            "together": row["together"],
            "steps": row["steps"],
            "ms a step": row["step"],
            "bare": row["bare"],
            "ratio": row["ratio"],
            "s once": float(row["once"]),
            "peak GiB": float(row["gib"]),
            "MB kept": float(row["megabytes"]),
        }
        for row in rows
    ]
    return Table(shown, NOTES)


def write_pages(folder: Path, found: dict[str, Any]) -> None:
    """finetune.json and finetune.md."""
    about = ", ".join(f"{name} {value}" for name, value in found["about"].items())
    head = f"# Learning one person\n\nWritten by `python -m src.bench finetune`.\n\n{about}.\n\n"
    write_atomic(folder / "finetune.json", (json.dumps(found, indent=1) + "\n").encode())
    write_atomic(folder / "finetune.md", (head + to_markdown(table(found["rows"]))).encode())
