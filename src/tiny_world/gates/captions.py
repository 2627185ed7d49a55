"""Gates 3 and 9: does the base draw what a caption says, in every style? On validation people.

Where several judges measure a number, the worst of them is the gate's value.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from src.metrics.identity import Identity
from src.metrics.text_similarity import TextSimilarity
from src.models.base import TextToImage
from src.tiny_world.base_sampling import GUIDANCE, from_captions
from src.tiny_world.gates.gate import Gate, gate
from src.tiny_world.photos import pictures
from src.tiny_world.renderer.captions import full_caption
from src.tiny_world.renderer.people import SPLITS
from src.tiny_world.renderer.scenes import COLOURS, STYLES, Scene, scene_for

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


def coloured_scene(seed: int) -> Scene:
    """A validation scene in photo style with a hat or beanie of one colour and a shirt of another."""
    rng = np.random.default_rng([seed, 6])
    first, second = (str(colour) for colour in rng.choice(list(COLOURS), 2, replace=False))
    kind = str(rng.choice(["hat", "beanie"]))
    scene = replace(scene_for(seed, style="photo"), eyewear="none")
    return replace(scene, headwear=f"{first} {kind}", clothes=f"{second} shirt")


def swapped(scene: Scene) -> Scene:
    """The scene with the colours of headwear and clothes exchanged."""
    (first, kind), (second, clothes) = scene.headwear.split(), scene.clothes.split()
    return replace(scene, headwear=f"{second} {kind}", clothes=f"{first} {clothes}")


def text_gates(
    base: TextToImage,
    judges: Sequence[TextSimilarity],
    *,
    groups: int = 2,
    coloured: int = 48,
    steps: int = 20,
) -> list[Gate]:
    """Gate 3: the base follows text, by what text judges make of pictures it generates from full captions.

    Retrieval: share of pictures whose own caption is the nearest of 32 different ones, over the same share on the
    renderer's pictures of the same scenes. Colours: share of pictures of a hat and a shirt of two colours to which a
    judge finds the caption closer than the one with the colours exchanged (chance is .5), over the same share on the
    renderer's pictures. Bound for both quotients: .9. `groups` of 32 pictures, and `coloured` ones; base sampling.
    """

    def generated(captions: Sequence[str]) -> Tensor:
        return from_captions(base, captions, steps=steps)

    chosen = distinct_scenes(SPLITS["validation"][6000 : 6000 + 2 * groups * GROUP])[: groups * GROUP]
    captions = captions_of(chosen)
    real, made = pictures(chosen), generated(captions)
    rates = {j.name: (retrieval(j, real, captions), retrieval(j, made, captions)) for j in judges}
    pairs = [(seed, coloured_scene(seed)) for seed in SPLITS["validation"][7000 : 7000 + coloured]]
    right, wrong = captions_of(pairs), captions_of((seed, swapped(scene)) for seed, scene in pairs)
    real, made = pictures(pairs), generated(right)
    colours = {j.name: (preferred(j, real, right, wrong), preferred(j, made, right, wrong)) for j in judges}
    setting = {"steps": steps, "guidance": GUIDANCE}
    return [
        _quotient("base: retrieval, generated over real", rates, setting | {"pictures": len(chosen)}),
        _quotient("base: colours at their objects, generated over real", colours, setting | {"pictures": coloured}),
    ]


def style_gates(
    base: TextToImage,
    judges: Sequence[TextSimilarity],
    faces: Identity,
    *,
    groups: int = 2,
    steps: int = 20,
) -> list[Gate]:
    """Gate 9: what people look at, style by style, on `groups` of 32 pictures of each generated from full captions.

    Two quotients, generated over real (the renderer's pictures of the same scenes): retrieval of the own caption among
    32, by the worst text judge; and the share in which a face is found. The value of a style is the lower one.
    Bound: .85 for each style.
    """
    rows = []
    for number, style in enumerate(STYLES):
        seeds = SPLITS["validation"][2000 + 400 * number : 2400 + 400 * number]
        chosen = distinct_scenes(seeds, style=style)[: groups * GROUP]
        captions = captions_of(chosen)
        real, made = pictures(chosen), from_captions(base, captions, steps=steps)
        quotients = {j.name: retrieval(j, made, captions) / retrieval(j, real, captions) for j in judges}
        quotients["face"] = float(faces.present(made).float().mean() / faces.present(real).float().mean())
        rows.append(gate(9, f"{style}: text and faces, generated over real", min(quotients.values()), 0.85, quotients))
    return rows


def preferred(judge: TextSimilarity, images: Tensor, right: Sequence[str], wrong: Sequence[str]) -> float:
    """Share of images [B, 3, H, W] to which the judge finds the right caption closer than the wrong one."""
    return float((judge(images, right) > judge(images, wrong)).float().mean())


def _quotient(name: str, rates: dict[str, tuple[float, float]], setting: dict[str, float]) -> Gate:
    judges = {judge: {"real": real, "generated": made} for judge, (real, made) in rates.items()}
    worst = min(made / max(real, 1e-6) for real, made in rates.values())
    return gate(3, name, worst, 0.9, {"judges": judges, **setting})
