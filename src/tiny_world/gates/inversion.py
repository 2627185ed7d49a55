"""Pictures and tokens that the gates need: rows of pictures with a text each, and a token optimised on one photo."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from src.diffusion import add_noise, denoising_loss
from src.models.base import TextToImage
from src.models.promptnet import PromptNet
from src.sampling import NULL, Condition, Conditions, fusion_sample, seeded_randn_like

PROMPT = "a photo of S*"
# (x [B, C, h, w], t 0-dim, rows) -> text state [B, L, D] of those rows of the run
RowText = Callable[[Tensor, Tensor, slice], Tensor]


def fixed_text(base: TextToImage, prompts: Sequence[str]) -> RowText:
    """Row i says prompts[i], without S*."""
    state = base.text(prompts)
    return lambda x, t, rows: state[rows]


def person_text(base: TextToImage, promptnet: PromptNet, photos: Tensor, prompt: str = PROMPT) -> RowText:
    """Row i says `prompt` with the S* of photo i; photos [B, 3, H, W] in [-1, 1]."""
    x_ref, vision = base.encode(photos), base.see(photos)
    return lambda x, t, rows: base.text([prompt] * len(x), promptnet(x, t, x_ref[rows], vision[rows]))


@torch.no_grad()
def sample_rows(
    base: TextToImage, text: RowText, seeds: Sequence[int], *, guidance: float, steps: int, batch: int = 32
) -> Tensor:
    """Images [B, 3, H, W] in [-1, 1] by *base* sampling (guidance on the one prompt alone), row i from seeds[i]."""
    empty = base.text([""])
    images = []
    for start in range(0, len(seeds), batch):
        rows = slice(start, min(start + batch, len(seeds)))

        def noise(x: Tensor, t: Tensor, conditions: Sequence[Conditions], rows: slice = rows) -> Sequence[Tensor]:
            states = [empty.expand(len(x), -1, -1) if c == NULL else text(x, t, rows) for c in conditions]
            eps = base.predict_noise(x.repeat(len(states), 1, 1, 1), t, torch.cat(states))
            return eps.chunk(len(states))

        randn_like = seeded_randn_like(seeds[rows])
        latents = fusion_sample(
            noise,
            randn_like(torch.empty(rows.stop - rows.start, *base.latent_shape, device=base.device)),
            base.schedule(steps),
            joint=(),
            separate=[(Condition("each row's own"), guidance)],
            fusion_steps=0,
            fusion_eta=0.0,
            eta=0.0,
            randn_like=randn_like,
        )
        images.append(base.decode(latents))
    return torch.cat(images)


@torch.no_grad()
def noun_embedding(base: TextToImage, noun: str = "person") -> Tensor:
    """What S* replaces: (token + position) embedding [1, 1, D], the mean over the noun's tokens in "a photo of ..."."""
    tokenize = base.tokenizer
    head, own = (tokenize(text, add_special_tokens=False).input_ids for text in ("a photo of", noun))
    ids = torch.tensor([[tokenize.bos_token_id, *head, *own]], device=base.device)
    text_model: Any = getattr(base.text_encoder, "text_model", base.text_encoder)
    return text_model.embeddings(ids)[:, -len(own) :].mean(1, keepdim=True)


def optimise_token(
    base: TextToImage,
    photo: Tensor,
    *,
    steps: int = 120,
    lr: float = 0.02,
    batch: int = 8,
    seed: int = 0,
) -> Tensor:
    """Textual inversion (Gal et al. 2022) of one photo [1, 3, H, W] in [-1, 1]: a token [1, 1, D] for S*.

    Adam on the plain noise loss under "a photo of S*" (unpadded, as PromptNet's training), t uniform, latents the
    posterior mean, starting from the embedding of "person"; no regularisation, so it may over-fit.
    """
    with torch.no_grad():
        x_0 = base.encode(photo).expand(batch, -1, -1, -1)
    token = noun_embedding(base).clone().requires_grad_(True)
    optimizer = torch.optim.Adam([token], lr=lr)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        t = torch.randint(len(base.alpha_bar), (batch,), generator=generator).to(x_0.device)
        eps = torch.randn(x_0.shape, generator=generator).to(x_0)
        with torch.enable_grad():
            text = base.text([PROMPT], token, pad=False).expand(batch, -1, -1)
            predicted = base.predict_noise(add_noise(x_0, eps, t, base.noise_levels), t, text)
            loss = denoising_loss(predicted, eps)
        (token.grad,) = torch.autograd.grad(loss, token)
        optimizer.step()
    return token.detach()
