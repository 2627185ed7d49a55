"""Textual inversion of one photo: the token that gates 4 to 6 compare with."""

import torch
from torch import Tensor

from src.diffusion import add_noise, denoising_loss
from src.models.base import TextToImage
from src.tiny_world.base_sampling import PROMPT, noun_embedding


def optimise_token(
    base: TextToImage, photo: Tensor, *, steps: int = 120, lr: float = 0.02, batch: int = 8, seed: int = 0
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
