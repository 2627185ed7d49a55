"""The embedded world's base model, in the parts and formats of a diffusers pipeline folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL
from torch import Tensor, nn

from src.tiny_world.pictures import Pictures
from src.tiny_world.training import averaged, fit

TRAINING_PICTURES = {"first": 0, "count": 60_000}


def new_vae() -> AutoencoderKL:
    """f = 4: 64 x 64 x 3 -> 16 x 16 x 4, thin where it is large."""
    return AutoencoderKL(
        down_block_types=["DownEncoderBlock2D"] * 3,
        up_block_types=["UpDecoderBlock2D"] * 3,
        block_out_channels=(16, 32, 64),
        layers_per_block=1,
        norm_num_groups=8,
        latent_channels=4,
        sample_size=64,
    )


def train_vae(cache: Path, *, steps: int, seed: int = 1) -> dict[str, Any]:
    """Reconstruction, three times as heavy on the subject, and a light KL term for a smooth latent space."""
    pictures = Pictures(cache, **TRAINING_PICTURES)

    def loss(vae: nn.Module, generator: torch.Generator) -> tuple[Tensor, Mapping[str, Tensor]]:
        index = torch.randint(pictures.count, (12,), generator=generator)
        x, weight = pictures.images(index), 1 + 2 * pictures.masks(index)
        posterior = vae.encode(x).latent_dist
        noise = torch.randn(posterior.mean.shape, generator=generator)
        error = vae.decode(posterior.mean + posterior.std * noise).sample - x
        kl = posterior.kl().mean() / posterior.mean[0].numel()
        edges = sum(torch.diff(error, dim=d).abs().mean() for d in (2, 3))
        total = (weight * (error.abs() + 4 * error.square())).mean() + edges + 2e-4 * kl
        psnr = -10 * torch.log10(F.mse_loss(error, torch.zeros_like(error)) / 4)
        return total, {"psnr": psnr.detach(), "kl": kl.detach()}

    return fit(new_vae(), loss, checkpoint=cache / "vae.pt", steps=steps, peak_lr=2e-3, seed=seed, weight_decay=0.0)


def load_vae(cache: Path) -> nn.Module:
    return averaged(new_vae(), cache / "vae.pt")
