"""What a side is thought to cost before it is made, for the time that remains, and what its people did cost."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from src.files.whole import read_json
from src.harness.build import plain
from src.harness.device import GIB
from src.harness.parallel.progress import Estimate
from src.harness.preflight.people import footprint_of
from src.runs.store import write_json


def estimate(cfg: DictConfig, images: int, kept: Sequence[Path]) -> Estimate:
    """Of a side with this method and sampler. kept: the file of each person, once the person is learned."""
    method, sampler = plain(cfg.method), plain(cfg.sampler)
    fused, refined = (1 + len(sampler[stage]) for stage in ("joint", "separate"))
    how = method.get("finetune") or method
    taken = footprint_of(cfg)
    photos = how["steps"] * taken.photos if taken and taken.photos else 0
    evaluations = sampler["steps"] * (sampler["fusion_steps"] * fused + refined)
    return Estimate(images, evaluations, dict.fromkeys(kept, photos) if photos else {})


def write_costs(files: Iterable[Path], began: float, **about: Any) -> None:
    """Beside the file of somebody who was learned, what it cost: seconds from `began`, a time of day, to the file."""
    for path in files:
        cost = {"seconds": path.stat().st_mtime - began, "bytes": path.stat().st_size}
        write_json(path.with_suffix(".json"), cost | about)


def mean_costs(files: Iterable[Path]) -> dict[str, float]:
    """What it took to learn one of the people of these files, and all of them together; 0 where nothing is learned."""
    beside = [path.with_suffix(".json") for path in files]
    learned = [read_json(path) for path in beside if path.exists()]

    def mean(name: str, unit: float = 1.0) -> float:
        return round(sum(each[name] for each in learned) / len(learned) / unit, 3) if learned else 0.0

    once = max((each.get("once_seconds", 0.0) for each in learned), default=0.0)
    learning = {"learning s": mean("seconds"), "once s": round(once, 3), "learning GiB": mean("peak_bytes", GIB)}
    return learning | {"MB a person": mean("bytes", 1e6)}
