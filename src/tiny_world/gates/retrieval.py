"""Which caption a text judge finds nearest to a picture: what gates 2, 3 and 9 measure with."""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from src.metrics.text_similarity import TextSimilarity
from src.tiny_world.renderer.captions import full_caption
from src.tiny_world.renderer.scenes import Scene, scene_for

GROUP = 32  # pictures and captions a retrieval is among


def distinct_scenes(people: Iterable[int], style: str | None = None) -> list[tuple[int, Scene]]:
    """(person, scene) for each seed, skipping scenes whose full caption the running group of 32 has already."""
    chosen: list[tuple[int, Scene]] = []
    taken: set[str] = set()
    for seed in people:
        scene = scene_for(seed, style=style)
        if full_caption(scene) in taken:
            continue
        chosen.append((seed, scene))
        taken = set() if len(chosen) % GROUP == 0 else taken | {full_caption(scene)}
    return chosen


def captions_of(shown: Iterable[tuple[int, Scene]]) -> list[str]:
    """The full captions of (person, scene)."""
    return [full_caption(scene) for _, scene in shown]


def retrieval(judge: TextSimilarity, images: Tensor, captions: Sequence[str]) -> float:
    """Share of images whose own caption is the nearest of its group of 32; captions differ within a group."""
    right = []
    for start in range(0, len(images) - GROUP + 1, GROUP):
        group = slice(start, start + GROUP)
        nearest = (judge.embed_images(images[group]) @ judge.embed_texts(captions[group]).T).argmax(1)
        right.append((nearest == torch.arange(GROUP, device=nearest.device)).float().mean())
    return float(torch.stack(right).mean())
