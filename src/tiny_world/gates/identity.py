"""Gates 0 and 7: are people whom nothing was trained on recognised, drawn by name and by PromptNet alone?"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from src.metrics.identity import Identity
from src.models.base import TextToImage
from src.models.promptnet import PromptNet
from src.tiny_world.base_sampling import GUIDANCE, RowText, named_text, person_text, sample_rows
from src.tiny_world.gates.gate import Gate, gate
from src.tiny_world.names import Names
from src.tiny_world.photos import pictures, reference
from src.tiny_world.renderer.scenes import reference_scene


def other_photos(people: Sequence[int], each: int) -> Tensor:
    """Photos [each, P, 3, 64, 64] of the people in scenes that their reference photos do not show."""
    return torch.stack([pictures((p, reference_scene(p + 10**6 * k)) for p in people) for k in range(1, each + 1)])


def share_closer(cosine: Tensor, present: Tensor) -> float:
    """How often a picture is closer to its own person than to a random other one.

    cosine: [P, P], picture i with person j; present: bool [P], a picture without a face is closer to nobody. The mean
    over people of the share of the others to whom the picture is less close: "a random other one", averaged out.
    """
    closer = cosine.diagonal()[:, None] > cosine
    return float((closer.float().sum(1) / (len(cosine) - 1) * present).mean())


def likeness(
    judges: Sequence[Identity], made: Tensor, people: Sequence[int], *, shown: Tensor | None = None, others: int = 2
) -> dict[str, dict[str, float]]:
    """Judge -> how near pictures made of people [B, 3, H, W] are to `others` photos of each, and to everybody else's.

    closer: the share of people to whom the picture is closer than to a random other person. shown: photos that the
    generator was shown, to which nearness is said beside it.
    """
    further = other_photos(people, others)
    near: dict[str, dict[str, float]] = {}
    for judge in judges:
        seen, present = judge.embed(made), judge.present(made)
        own = torch.stack([seen @ judge.embed(photos).T for photos in further]).mean(0)
        near[judge.name] = {
            "closer": share_closer(own, present),
            "cosine_own": float(own.diagonal().mean()),
            "cosine_others": float((own.sum() - own.trace()) / (len(own) * (len(own) - 1))),
            "face_found": float(present.float().mean()),
        }
        if shown is not None:
            near[judge.name]["closer_to_photo_shown"] = share_closer(seen @ judge.embed(shown).T, present)
    return near


def names_gate(
    base: TextToImage, names: Names, judges: Sequence[Identity], *, people: Sequence[int], steps: int = 20
) -> Gate:
    """Gate 0: "a photo of NAME" of unseen people by *base* sampling, one picture each. Bound: .95 by every judge.

    The share of people to whom the picture is closer than to a random other person; names are what the net of the
    base's training makes of traits.
    """
    value, details = _recognised(base, named_text(base, names, people), judges, people, steps)
    return gate(0, "names: own person is closer, share", value, 0.95, details)


def identity_gate(
    base: TextToImage, promptnet: PromptNet, judges: Sequence[Identity], *, people: Sequence[int], steps: int = 20
) -> Gate:
    """Gate 7: PromptNet alone, "a photo of S*" of unseen people by *base* sampling, one picture each.

    Share of people to whom the picture is closer than to a random other person, mean cosine with two further
    photos of each (not the one that PromptNet was shown); the value is the worst judge's. Bound: .9. In the details
    the same with the photo that was shown.
    """
    shown = torch.cat([reference(person, ()) for person in people])
    text = person_text(base, promptnet, shown.to(base.device))
    value, details = _recognised(base, text, judges, people, steps, shown=shown)
    return gate(7, "PromptNet alone: own person is closer, share", value, 0.9, details)


def _recognised(
    base: TextToImage,
    text: RowText,
    judges: Sequence[Identity],
    people: Sequence[int],
    steps: int,
    shown: Tensor | None = None,
) -> tuple[float, dict[str, Any]]:
    """The worst judge's share of people who are closer to their own picture, and all that was measured."""
    made = sample_rows(base, text, range(len(people)), steps=steps)
    near = likeness(judges, made, people, shown=shown)
    details = {"judges": near, "people": len(people), "steps": steps, "guidance": GUIDANCE}
    return min(each["closer"] for each in near.values()), details
