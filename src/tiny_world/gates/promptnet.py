"""Gates 0, 6 and 7: do names work, has PromptNet learned, and does it know people whom it never saw?"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from src.diffusion import add_noise
from src.metrics.identity import Identity
from src.models.base import TextToImage
from src.models.promptnet import PromptNet
from src.tiny_world import photos as tiny_people
from src.tiny_world import renderer
from src.tiny_world.gates.gate import Gate, gate
from src.tiny_world.gates.inversion import PROMPT, noun_embedding, person_text, sample_rows
from src.tiny_world.names import Names, traits_of

THIRDS = ("low", "middle", "high")


@torch.no_grad()
def third_losses(
    base: TextToImage,
    promptnet: PromptNet,
    photo: Tensor,
    token: Tensor,
    third: int,
    *,
    draws: int = 32,
    seed: int = 0,
) -> dict[str, float]:
    """The noise loss on fixed draws of (t, eps) in one third of the noise range (0 the lowest) under three texts.

    "generic": "a photo of a person"; "promptnet" and "token": "a photo of S*" with PromptNet's S* and with the
    optimised one; all unpadded, as in PromptNet's training. photo: [1, 3, H, W]; token: [1, 1, D].
    """
    generator = torch.Generator().manual_seed(1_000_003 + 3 * seed + third)
    total = len(base.alpha_bar)
    t = torch.randint(third * total // 3, (third + 1) * total // 3, (draws,), generator=generator).to(photo.device)
    x_0 = base.encode(photo).expand(draws, -1, -1, -1)
    eps = torch.randn(x_0.shape, generator=generator).to(x_0)
    x_t = add_noise(x_0, eps, t, base.noise_levels)
    pseudo = promptnet(x_t, t, x_0, base.see(photo).expand(draws, -1, -1))
    texts = {
        "generic": base.text(["a photo of a person"], pad=False).expand(draws, -1, -1),
        "promptnet": base.text([PROMPT] * draws, pseudo, pad=False),
        "token": base.text([PROMPT], token, pad=False).expand(draws, -1, -1),
    }
    return {name: float((base.predict_noise(x_t, t, text) - eps).square().mean()) for name, text in texts.items()}


def closed_share(generic: float, promptnet: float, token: float) -> float:
    """The share of the gap between "a person" and an optimised token that PromptNet closes.

    1: all of it. Where the token is no better than "a person" there is no gap: 1 if PromptNet is no worse than either.
    """
    if token < generic:
        return (generic - promptnet) / (generic - token)
    return float(promptnet <= generic)


def promptnet_gates(
    base: TextToImage, promptnet: PromptNet, photos: Tensor, tokens: Tensor, *, draws: int = 32, seed: int = 0
) -> list[Gate]:
    """Gate 6, a row for each third of the noise range: the share of the gap that PromptNet closes. Bound: .5.

    (loss of "a photo of a person" - loss of PromptNet) / (loss of "a photo of a person" - loss of a token optimised on
    that very photo), losses being means over people and fixed draws; photos [P, 3, H, W] of people whom PromptNet never
    saw, tokens [P, 1, D].
    """
    rows = []
    for third in reversed(range(3)):
        found = [
            third_losses(base, promptnet, photos[i : i + 1], tokens[i : i + 1], third, draws=draws, seed=seed + i)
            for i in range(len(photos))
        ]
        loss = {name: sum(each[name] for each in found) / len(found) for name in found[0]}
        details = {"loss": loss, "each": [round(closed_share(**each), 4) for each in found], "draws": draws}
        name = f"PromptNet closes the gap to a token, {THIRDS[third]} noise"
        rows.append(gate(6, name, closed_share(**loss), 0.5, details))
    return rows


def other_photos(people: Sequence[int], each: int) -> Tensor:
    """Photos [each, P, 3, 64, 64] of the people in scenes that their reference photos do not show."""
    return torch.stack(
        [
            torch.stack([tiny_people.picture(p, renderer.people.reference_scene(p + 10**6 * k)) for p in people])
            for k in range(1, each + 1)
        ]
    )


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
    found: dict[str, dict[str, float]] = {}
    for judge in judges:
        seen, present = judge.embed(made), judge.present(made)
        own = torch.stack([seen @ judge.embed(photos).T for photos in further]).mean(0)
        found[judge.name] = {
            "closer": share_closer(own, present),
            "cosine_own": float(own.diagonal().mean()),
            "cosine_others": float((own.sum() - own.trace()) / (len(own) * (len(own) - 1))),
            "face_found": float(present.float().mean()),
        }
        if shown is not None:
            found[judge.name]["closer_to_photo_shown"] = share_closer(seen @ judge.embed(shown).T, present)
    return found


def names_gate(
    base: TextToImage,
    names: Names,
    judges: Sequence[Identity],
    *,
    people: Sequence[int],
    steps: int = 20,
    guidance: float = 1.5,
) -> Gate:
    """Gate 0: "a photo of NAME" of unseen people by *base* sampling, one picture each. Bound: .95 by every judge.

    The share of people to whom the picture is closer than to a random other person; names are what the net of the
    base's training makes of traits.
    """
    device = base.device
    with torch.no_grad():
        words = names(traits_of(people).to(device), noun_embedding(base)[0, 0])
        state = base.text([PROMPT] * len(people), words[:, None])
    made = sample_rows(base, lambda x, t, rows: state[rows], range(len(people)), guidance=guidance, steps=steps)
    found = likeness(judges, made, people)
    details = {"judges": found, "people": len(people), "steps": steps, "guidance": guidance}
    return gate(0, "names: own person is closer, share", min(j["closer"] for j in found.values()), 0.95, details)


def identity_gate(
    base: TextToImage,
    promptnet: PromptNet,
    judges: Sequence[Identity],
    *,
    people: Sequence[int],
    steps: int = 20,
    guidance: float = 1.5,
) -> Gate:
    """Gate 7: PromptNet alone, "a photo of S*" of unseen people by *base* sampling, one picture each.

    Share of people to whom the picture is closer than to a random other person, mean cosine with two further
    photos of each (not the one that PromptNet was shown); the value is the worst judge's. Bound: .9. In the details
    the same with the photo that was shown.
    """
    shown = torch.cat([tiny_people.reference(person, ()) for person in people])
    text = person_text(base, promptnet, shown.to(base.device))
    made = sample_rows(base, text, range(len(people)), guidance=guidance, steps=steps)
    found = likeness(judges, made, people, shown=shown)
    details = {"judges": found, "people": len(people), "steps": steps, "guidance": guidance}
    return gate(
        7, "PromptNet alone: own person is closer, share", min(j["closer"] for j in found.values()), 0.9, details
    )
