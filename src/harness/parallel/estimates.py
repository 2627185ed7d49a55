"""What a side is thought to cost before it is made: a guess from its settings, for the time that remains."""

from collections.abc import Sequence
from pathlib import Path

from omegaconf import DictConfig

from src.harness.build import plain
from src.harness.parallel.progress import Estimate
from src.harness.preflight.people import footprint_of


def estimate(cfg: DictConfig, images: int, kept: Sequence[Path]) -> Estimate:
    """Of a side with this method and sampler. kept: the file of each person, once the person is learned."""
    method, sampler = plain(cfg.method), plain(cfg.sampler)
    fused, refined = (1 + len(sampler[stage]) for stage in ("joint", "separate"))
    how = method.get("finetune") or method
    taken = footprint_of(cfg)
    photos = how["steps"] * taken.photos if taken and taken.photos else 0
    evaluations = sampler["steps"] * (sampler["fusion_steps"] * fused + refined)
    return Estimate(images, evaluations, dict.fromkeys(kept, photos) if photos else {})
