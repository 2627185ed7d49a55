"""Gate 1: what the autoencoder keeps of validation people's pictures: their pixels, moles and iris colours."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor
from torchmetrics.functional.image import peak_signal_noise_ratio

from src.models.base import TextToImage
from src.tiny_world.gates.gate import Gate, gate
from src.tiny_world.photos import drawn, pictures
from src.tiny_world.renderer.people import SPLITS, Person, person_from
from src.tiny_world.renderer.scenes import reference_scene, scene_for

Through = Callable[[Tensor], Tensor]
VISIBLE = 0.3  # of the range of 2: the contrast from which on a pixel shows a detail
AREA = 6  # pixels that must show it; a mark of 3 px across has 7
KEPT = 0.5  # a detail survives with half of its contrast


def through_vae(base: TextToImage) -> Through:
    """Images [B, 3, H, W] in [-1, 1] -> the same, encoded (posterior mean) and decoded."""

    @torch.no_grad()
    def through(images: Tensor) -> Tensor:
        return torch.cat([base.decode(base.encode(part.to(base.device))).to(images) for part in images.split(64)])

    return through


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


def detail_pairs(people: Sequence[int], without: Callable[[Person], Person]) -> tuple[Tensor, Tensor]:
    """Reference photos of the people as they are, and without a detail: twice [B, 3, H, W]; hidden ones left out."""
    scenes = [reference_scene(seed) for seed in people]
    persons = [person_from(seed) for seed in people]
    shown, hidden = (
        torch.stack([drawn(p, scene) for p, scene in zip(each, scenes, strict=True)])
        for each in (persons, [without(p) for p in persons])
    )
    seen = visible(shown, hidden)
    return shown[seen], hidden[seen]


def no_mark(person: Person) -> Person:
    return replace(person, mark_at="none")


def grey_iris(person: Person) -> Person:
    """The iris in a grey of its own brightness: what differs is its colour alone."""
    red, green, blue = person.iris
    return replace(person, iris=(round(0.3 * red + 0.59 * green + 0.11 * blue),) * 3)


def colour_correlation(through: Through, shown: Tensor, hidden: Tensor) -> float:
    """Across people, the correlation of a detail's hue (mean colour of its patch, less its grey) with that after."""
    weight = (shown - hidden).abs().amax(1, keepdim=True)
    before, after = ((weight * x).sum((2, 3)) / weight.sum((2, 3)) for x in (shown, through(shown)))
    hues = torch.stack([(colour - colour.mean(1, keepdim=True)).flatten() for colour in (before, after)])
    return float(torch.corrcoef(hues)[0, 1])


def vae_gates(base: TextToImage, *, count: int = 200, people: int = 120) -> list[Gate]:
    """Gate 1: mean PSNR over `count` pictures; share of people whose mark, and whose iris colour, survives.

    A mark (mole) survives if after the autoencoder it has at least half of its contrast: photo style, people whose
    mark is to be seen. So does the iris colour: against an iris of a grey of the same brightness. Bound for both
    shares: .9 (ours). The details have how well the detail's hue after tells the hue before.
    """
    through, chosen = through_vae(base), SPLITS["validation"][5000 : 5000 + max(count, people)]
    images = pictures((seed, scene_for(seed)) for seed in chosen[:count])
    each = peak_signal_noise_ratio(through(images), images, data_range=2.0, reduction="none", dim=(1, 2, 3))
    gates = [gate(1, "VAE: PSNR, dB", float(each.mean()), 26.0, {"worst": float(each.min()), "pictures": count})]
    for name, without in (("mole", no_mark), ("iris colour", grey_iris)):
        pairs = detail_pairs(chosen[:people], without)
        left = survival(through, *pairs)
        details = {"mean_contrast_left": float(left.mean()), "quarter": float(left.quantile(0.25)), "people": len(left)}
        details["hue_correlation"] = colour_correlation(through, *pairs)
        gates.append(gate(1, f"VAE: {name} survives, share", float((left >= KEPT).float().mean()), 0.9, details))
    return gates
