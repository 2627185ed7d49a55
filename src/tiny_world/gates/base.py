"""Gates 1, 3 and 9: what the autoencoder keeps, and whether the base draws what the text says, in every style.

Where several judges measure a number, the worst of them is the gate's value. All pictures are of validation people.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import islice

import numpy as np
import torch
from torch import Tensor

from src.metrics.identity import Identity
from src.metrics.text_similarity import TextSimilarity
from src.models.base import TextToImage
from src.tiny_world import renderer
from src.tiny_world.gates.gate import Gate, gate
from src.tiny_world.gates.inversion import fixed_text, sample_rows
from src.tiny_world.judges.quality import GROUP, Through, distinct_scenes, drawn, retrieval
from src.tiny_world.pictures import scene_for, to_tensor
from src.tiny_world.renderer.people import COLOURS, SPLITS, STYLES, Person, Scene

VISIBLE = 0.3  # of the range of 2: the contrast from which on a pixel shows a detail
AREA = 6  # pixels that must show it; a mark of 3 px across has 7
KEPT = 0.5  # a detail survives with half of its contrast


def through_vae(base: TextToImage) -> Through:
    """Images [B, 3, H, W] in [-1, 1] -> the same, encoded (posterior mean) and decoded."""

    @torch.no_grad()
    def through(images: Tensor) -> Tensor:
        return torch.cat([base.decode(base.encode(part.to(base.device))).to(images) for part in images.split(64)])

    return through


def psnr(images: Tensor, others: Tensor) -> Tensor:
    """Peak signal-to-noise ratio [B] in dB of pictures in [-1, 1], whose peak is 2."""
    return -10 * torch.log10((images - others).square().mean((1, 2, 3)) / 4)


def survival(through: Through, shown: Tensor, hidden: Tensor) -> Tensor:
    """How much of a detail's contrast is left, [B]: 1 all of it, 0 none.

    shown, hidden: [B, 3, H, W], the same pictures with and without the detail, so that what is compared is the detail
    on its patch against what surrounds it, wherever it is: <through(shown) - through(hidden), shown - hidden> over
    |shown - hidden|^2.
    """
    before, after = shown - hidden, through(shown) - through(hidden)
    return (after * before).sum((1, 2, 3)) / before.square().sum((1, 2, 3))


def visible(shown: Tensor, hidden: Tensor) -> Tensor:
    """Where the detail is there to be seen (no hair or beard of its colour hides it), bool [B]."""
    return ((shown - hidden).abs().amax(1) > VISIBLE).sum((1, 2)) >= AREA


def picture(person: Person, scene: Scene) -> Tensor:
    """The renderer's picture [3, 64, 64] in [-1, 1]."""
    return to_tensor(renderer.drawing.draw(person, scene)[0])


def detail_pairs(people: Sequence[int], without: Callable[[Person], Person]) -> tuple[Tensor, Tensor]:
    """Reference photos of the people as they are, and without a detail: twice [B, 3, H, W]; hidden ones left out."""
    scenes = [renderer.people.reference_scene(seed) for seed in people]
    persons = [renderer.people.person(seed) for seed in people]
    shown, hidden = (
        torch.stack([picture(p, scene) for p, scene in zip(each, scenes, strict=True)])
        for each in (persons, [without(p) for p in persons])
    )
    seen = visible(shown, hidden)
    return shown[seen], hidden[seen]


def _no_mark(person: Person) -> Person:
    return replace(person, mark_at="none")


def _grey_iris(person: Person) -> Person:
    """The iris in a grey of its own brightness: what differs is its colour alone."""
    red, green, blue = person.iris
    return replace(person, iris=(round(0.3 * red + 0.59 * green + 0.11 * blue),) * 3)


def colour_correlation(through: Through, shown: Tensor, hidden: Tensor) -> float:
    """Across people, the correlation of a detail's hue (mean colour of its patch, less its grey) with that after."""
    weight = (shown - hidden).abs().amax(1, keepdim=True)
    before, after = ((weight * x).sum((2, 3)) / weight.sum((2, 3)) for x in (shown, through(shown)))
    hues = torch.stack([(colour - colour.mean(1, keepdim=True)).flatten() for colour in (before, after)])
    return float(torch.corrcoef(hues)[0, 1])


def vae_gates(base: TextToImage, *, pictures: int = 200, people: int = 120) -> list[Gate]:
    """Gate 1: mean PSNR over pictures in random scenes; share of people whose mark, and whose iris colour, survives.

    A mark (mole) survives if after the autoencoder it has at least half of its contrast: photo style, people whose
    mark is to be seen. So does the iris colour: against an iris of a grey of the same brightness. Bound for both
    shares: .9 (ours). The details have how well the detail's hue after tells the hue before.
    """
    through, chosen = through_vae(base), SPLITS["validation"][5000 : 5000 + max(pictures, people)]
    images = drawn([(seed, scene_for(seed)) for seed in chosen[:pictures]])
    each = psnr(through(images), images)
    gates = [gate(1, "VAE: PSNR, dB", float(each.mean()), 26.0, {"worst": float(each.min()), "pictures": pictures})]
    for name, without in (("mole", _no_mark), ("iris colour", _grey_iris)):
        pairs = detail_pairs(chosen[:people], without)
        left = survival(through, *pairs)
        details = {"mean_contrast_left": float(left.mean()), "quarter": float(left.quantile(0.25)), "people": len(left)}
        details["hue_correlation"] = colour_correlation(through, *pairs)
        gates.append(gate(1, f"VAE: {name} survives, share", float((left >= KEPT).float().mean()), 0.9, details))
    return gates


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
    guidance: float = 4.0,
) -> list[Gate]:
    """Gate 3: the base follows text, by what text judges make of pictures it generates from full captions.

    Retrieval: share of pictures whose own caption is the nearest of 32 different ones, over the same share on the
    renderer's pictures of the same scenes. Colours: share of pictures of a hat and a shirt of two colours to which a
    judge finds the caption closer than the one with the colours exchanged (chance is .5), over the same share on the
    renderer's pictures. Bound for both quotients: .9. `groups` of 32 pictures, and `coloured` ones; base sampling.
    """

    def generated(captions: Sequence[str]) -> Tensor:
        return from_captions(base, captions, steps=steps, guidance=guidance)

    chosen = list(islice(distinct_scenes(SPLITS["validation"][6000 : 6000 + 2 * groups * GROUP]), groups * GROUP))
    captions = [renderer.captions.full_caption(scene) for _, scene in chosen]
    real, made = drawn(chosen), generated(captions)
    rates = {j.name: (retrieval(j, real, captions), retrieval(j, made, captions)) for j in judges}
    pairs = [(seed, coloured_scene(seed)) for seed in SPLITS["validation"][7000 : 7000 + coloured]]
    right, wrong = ([renderer.captions.full_caption(f(s)) for _, s in pairs] for f in (lambda s: s, swapped))
    real, made = drawn(pairs), generated(right)
    colours = {j.name: (preferred(j, real, right, wrong), preferred(j, made, right, wrong)) for j in judges}
    setting = {"steps": steps, "guidance": guidance}
    return [
        _quotient("base: retrieval, generated over real", rates, setting | {"pictures": len(chosen)}),
        _quotient("base: colours at their objects, generated over real", colours, setting | {"pictures": coloured}),
    ]


def from_captions(base: TextToImage, captions: Sequence[str], *, steps: int, guidance: float) -> Tensor:
    """One picture [B, 3, H, W] for each caption, by *base* sampling."""
    return sample_rows(base, fixed_text(base, captions), range(len(captions)), guidance=guidance, steps=steps)


def style_gates(
    base: TextToImage,
    judges: Sequence[TextSimilarity],
    faces: Identity,
    *,
    groups: int = 2,
    steps: int = 20,
    guidance: float = 4.0,
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
        captions = [renderer.captions.full_caption(scene) for _, scene in chosen]
        real, made = drawn(chosen), from_captions(base, captions, steps=steps, guidance=guidance)
        found = {j.name: retrieval(j, made, captions) / retrieval(j, real, captions) for j in judges}
        found["face"] = float(faces.present(made).float().mean() / faces.present(real).float().mean())
        rows.append(gate(9, f"{style}: text and faces, generated over real", min(found.values()), 0.85, found))
    return rows


def preferred(judge: TextSimilarity, images: Tensor, right: Sequence[str], wrong: Sequence[str]) -> float:
    """Share of images [B, 3, H, W] to which the judge finds the right caption closer than the wrong one."""
    return float((judge(images, right) > judge(images, wrong)).float().mean())


def _quotient(name: str, found: dict[str, tuple[float, float]], setting: dict[str, float]) -> Gate:
    judges = {judge: {"real": real, "generated": made} for judge, (real, made) in found.items()}
    worst = min(made / max(real, 1e-6) for real, made in found.values())
    return gate(3, name, worst, 0.9, {"judges": judges, **setting})
