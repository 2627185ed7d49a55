"""Gate 6: how far PromptNet has come from "a person" towards a token optimised on the very photo."""

import torch
from torch import Tensor

from src.diffusion import add_noise
from src.learning.pretrain import THIRDS
from src.models.base import TextToImage
from src.models.promptnet import PromptNet
from src.tiny_world.base_sampling import PROMPT
from src.tiny_world.gates.gate import Gate, gate


@torch.no_grad()
def third_losses(
    base: TextToImage, promptnet: PromptNet, photo: Tensor, token: Tensor, third: int, *, draws: int = 32, seed: int = 0
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
        losses = [
            third_losses(base, promptnet, photos[i : i + 1], tokens[i : i + 1], third, draws=draws, seed=seed + i)
            for i in range(len(photos))
        ]
        loss = {name: sum(each[name] for each in losses) / len(losses) for name in losses[0]}
        details = {"loss": loss, "each": [round(closed_share(**each), 4) for each in losses], "draws": draws}
        name = f"PromptNet closes the gap to a token, {THIRDS[third]} noise"
        rows.append(gate(6, name, closed_share(**loss), 0.5, details))
    return rows
