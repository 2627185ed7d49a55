"""How good the embedded world's judges are, on validation people (gate 2 of the world), and how they are loaded."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor

from src.metrics.identity import Identity
from src.metrics.text_similarity import TextSimilarity
from src.tiny_world import renderer
from src.tiny_world.judges.identity import NETS
from src.tiny_world.judges.presence import KINDS, ruined
from src.tiny_world.judges.text import VISION
from src.tiny_world.pictures import scene_for, to_tensor
from src.tiny_world.renderer.people import SPLITS, STYLES, Scene

Through = Callable[[Tensor], Tensor]
GROUP = 32  # pictures and captions a retrieval is among
TEXT_JUDGES, IDENTITY_JUDGES = tuple(VISION), tuple(NETS)


def load_text_judges(folder: Path) -> list[TextSimilarity]:
    """The text judges that were exported to `folder`."""
    return [TextSimilarity(name=name, model=f"local-dir:{folder / name}") for name in TEXT_JUDGES]


def load_identity_judges(folder: Path) -> list[Identity]:
    """The identity judges that were exported to `folder`, each with the presence net."""
    presence = str(folder / "presence.onnx")
    return [Identity(name=n, model=str(folder / f"{n}.onnx"), presence=presence) for n in IDENTITY_JUDGES]


def judge_gates(folder: Path, through: Through | None = None) -> dict[str, float]:
    """Measure the judges in `folder`, on pictures of validation people that went `through` something (the VAE) first.

    "text/<judge>/retrieval": share of pictures whose full caption is the nearest of 32. "identity/<judge>/eer/<style>":
    equal error rate, across scenes in photo style, else between pictures of a style and pictures in photo style.
    "presence/<style>", "presence/without_face": how often a face is found where there is one, and where there is none.
    """
    text, identity = load_text_judges(folder), load_identity_judges(folder)
    return _text_gates(text, through) | _identity_gates(identity, through) | _presence_gates(identity[0], through)


def retrieval(judge: TextSimilarity, images: Tensor, captions: Sequence[str]) -> float:
    """Share of images whose own caption is the nearest of its group of 32; captions differ within a group."""
    right = []
    for start in range(0, len(images) - GROUP + 1, GROUP):
        seen, said = (
            judge.embed_images(images[start : start + GROUP]),
            judge.embed_texts(captions[start : start + GROUP]),
        )
        right.append(((seen @ said.T).argmax(1) == torch.arange(GROUP, device=seen.device)).float().mean())
    return float(torch.stack(right).mean())


def equal_error_rate(genuine: Tensor, impostor: Tensor) -> float:
    """Where as many of the same are taken for different (`genuine` below a threshold) as of the different for same."""
    thresholds = torch.cat([genuine, impostor]).sort().values
    refused = torch.searchsorted(genuine.sort().values, thresholds) / len(genuine)
    accepted = 1 - torch.searchsorted(impostor.sort().values, thresholds) / len(impostor)
    best = (refused - accepted).abs().argmin()
    return float((refused[best] + accepted[best]) / 2)


def distinct_scenes(people: Iterable[int], style: str | None = None) -> list[tuple[int, Scene]]:
    """(person, scene) for each seed, skipping scenes whose full caption the running group of 32 has already."""
    chosen: list[tuple[int, Scene]] = []
    taken: set[str] = set()
    for seed in people:
        scene = scene_for(seed, style=style)
        if renderer.captions.full_caption(scene) in taken:
            continue
        chosen.append((seed, scene))
        taken = set() if len(chosen) % GROUP == 0 else taken | {renderer.captions.full_caption(scene)}
    return chosen


def drawn(people: Iterable[tuple[int, Scene]], through: Through | None = None) -> Tensor:
    """Pictures [B, 3, 64, 64] in [-1, 1] of (person, scene), sent `through` something in parts of 64."""
    pictures = torch.stack(
        [to_tensor(renderer.drawing.draw(renderer.people.person(seed), scene)[0]) for seed, scene in people]
    )
    return _sent(pictures, through)


def _sent(pictures: Tensor, through: Through | None) -> Tensor:
    return pictures if through is None else torch.cat([through(part) for part in pictures.split(64)])


def _text_gates(judges: Sequence[TextSimilarity], through: Through | None) -> dict[str, float]:
    chosen = list(islice(distinct_scenes(SPLITS["validation"][1000:3000]), 20 * GROUP))
    images, captions = drawn(chosen, through), [renderer.captions.full_caption(scene) for _, scene in chosen]
    return {f"text/{judge.name}/retrieval": retrieval(judge, images, captions) for judge in judges}


def _scenes(person: int, style: str, count: int) -> list[tuple[int, Scene]]:
    return [(person, scene_for(person * 50 + 10 * STYLES.index(style) + k, style=style)) for k in range(count)]


def _identity_gates(judges: Sequence[Identity], through: Through | None) -> dict[str, float]:
    """200 people, 3 pictures each in photo style and 1 in every other."""
    people, gates = SPLITS["validation"][:200], {}
    photos = drawn([pair for p in people for pair in _scenes(p, "photo", 3)], through)
    for style in STYLES:
        others = None if style == "photo" else drawn([pair for p in people for pair in _scenes(p, style, 1)], through)
        for judge in judges:
            gates[f"identity/{judge.name}/eer/{style}"] = _error_rate(judge, photos, others)
    return gates


def _error_rate(judge: Identity, photos: Tensor, others: Tensor | None) -> float:
    """Of the photos [P * k] among themselves, or of other pictures [P] against them."""
    seen = judge.embed(photos)
    compared = seen if others is None else judge.embed(others)
    cosine = compared @ seen.T
    people = torch.arange(len(seen)) // 3
    same = (people if others is None else torch.arange(len(compared)))[:, None] == people[None]
    itself = torch.eye(len(seen), dtype=torch.bool) if others is None else torch.zeros_like(same)
    return equal_error_rate(cosine[same & ~itself], cosine[~same])


def _presence_gates(judge: Identity, through: Through | None) -> dict[str, float]:
    people = SPLITS["validation"][200:360]
    gates = {}
    for style in STYLES:
        faces = drawn([pair for p in people for pair in _scenes(p, style, 1)], through)
        gates[f"presence/{style}"] = _rate(judge, faces)
    pairs = [renderer.drawing.draw(renderer.people.person(p), scene_for(p)) for p in people]
    images = torch.stack([to_tensor(picture) for picture, _ in pairs])
    masks = torch.stack([torch.from_numpy(mask.copy())[None].float() / 255 for _, mask in pairs])
    empty = drawn([(p, replace(scene_for(p), x=1000.0)) for p in people[: len(people) // len(KINDS)]])
    without = torch.cat([ruined(images, masks, torch.Generator().manual_seed(1)), empty])
    return gates | {"presence/without_face": _rate(judge, _sent(without, through))}


def _rate(judge: Identity, images: Tensor) -> float:
    return float(judge.present(images).float().mean())
