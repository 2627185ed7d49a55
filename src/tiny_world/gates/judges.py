"""Gate 2: how good the judges are on validation people, on the renderer's pictures and on what a VAE makes of them."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torchmetrics.functional.classification import binary_eer

from src.metrics.identity import Identity
from src.metrics.text_similarity import TextSimilarity
from src.models.base import TextToImage
from src.tiny_world.gates.autoencoder import Through, through_vae
from src.tiny_world.gates.captions import GROUP, captions_of, distinct_scenes, retrieval
from src.tiny_world.gates.gate import Gate, gate
from src.tiny_world.judges.presence import KINDS, backgrounds, pictures_and_masks, ruined
from src.tiny_world.photos import pictures
from src.tiny_world.renderer.people import SPLITS
from src.tiny_world.renderer.scenes import STYLES, scene_for


def judges_gates(base: TextToImage, text: Sequence[TextSimilarity], identity: Sequence[Identity]) -> list[Gate]:
    """Gate 2: the judges on the renderer's pictures, and on the same through the VAE.

    Text: share of pictures whose full caption is the nearest of 32, at least .95 by every judge. Identity: equal error
    rate of people across scenes in photo style, at most .03 by every judge. In the details also, by the name of the
    judge: the error rate between pictures of another style and pictures in photo style; and "presence/<style>",
    "presence/without_face": how often a face is found where there is one, and where there is none.
    """
    rows = []
    for where, through in (("real", lambda images: images), ("through VAE", through_vae(base))):
        retrieved = retrieval_rates(text, through)
        others = error_rates(identity, through) | presence_rates(identity[0], through)
        errors = [value for name, value in others.items() if name.endswith("/eer/photo")]
        rows.append(gate(2, f"text judges: retrieval of 32, {where}", min(retrieved.values()), 0.95, retrieved))
        rows.append(gate(2, f"identity judges: EER, {where}", max(errors), 0.03, others, at_least=False))
    return rows


def retrieval_rates(judges: Sequence[TextSimilarity], through: Through) -> dict[str, float]:
    """text/<judge>/retrieval -> share, on 640 pictures."""
    chosen = distinct_scenes(SPLITS["validation"][1000:3000])[: 20 * GROUP]
    images, captions = through(pictures(chosen)), captions_of(chosen)
    return {f"text/{judge.name}/retrieval": retrieval(judge, images, captions) for judge in judges}


def error_rates(judges: Sequence[Identity], through: Through) -> dict[str, float]:
    """identity/<judge>/eer/<style> -> equal error rate: 200 people, 3 pictures in photo style and 1 in every other."""
    people, rates = SPLITS["validation"][:200], {}
    photos = _shown(people, "photo", 3, through)
    for style in STYLES:
        others = None if style == "photo" else _shown(people, style, 1, through)
        for judge in judges:
            rates[f"identity/{judge.name}/eer/{style}"] = _error_rate(judge, photos, others)
    return rates


def _shown(people: Sequence[int], style: str, each: int, through: Through) -> Tensor:
    """`each` pictures of everybody in scenes of their own, [P * each, 3, H, W]."""
    first = 10 * STYLES.index(style)
    return through(pictures((p, scene_for(p * 50 + first + k, style=style)) for p in people for k in range(each)))


def _error_rate(judge: Identity, photos: Tensor, others: Tensor | None) -> float:
    """Of the photos [P * 3] among themselves, or of other pictures [P] against them."""
    embedded = judge.embed(photos)
    against = embedded if others is None else judge.embed(others)
    cosine = against @ embedded.T
    people = torch.arange(len(embedded)) // 3
    same = (people if others is None else torch.arange(len(against)))[:, None] == people[None]
    itself = torch.eye(len(embedded), dtype=torch.bool) if others is None else torch.zeros_like(same)
    return float(binary_eer((1 + cosine[~itself]) / 2, same[~itself].long()))


def presence_rates(judge: Identity, through: Through) -> dict[str, float]:
    """presence/<style> and presence/without_face -> how often the judge finds a face."""
    people = SPLITS["validation"][200:360]
    rates = {f"presence/{style}": _rate(judge, _shown(people, style, 1, through)) for style in STYLES}
    faceless = ruined(*pictures_and_masks(people), torch.Generator().manual_seed(1))
    without = torch.cat([faceless, backgrounds(people[: len(people) // len(KINDS)])])
    return rates | {"presence/without_face": _rate(judge, through(without))}


def _rate(judge: Identity, images: Tensor) -> float:
    return float(judge.present(images).float().mean())
