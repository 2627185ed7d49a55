"""Training of the embedded world's autoencoder."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from src.tiny_world.generator import new_vae
from src.tiny_world.training.checkpoints import SCALE
from src.tiny_world.training.loop import Budget, Descent, fit, mixed
from src.tiny_world.training.pictures import TRAINING_PICTURES, Irises, Pictures

IRIS_WEIGHT = 120  # of a pixel that is all iris, where the background has 1


def train_vae(cache: Path, *, budget: Budget, device: torch.device, seed: int = 1) -> dict[str, Any]:
    """Reconstruction, heavier on the subject and by far on the irises, and a light KL term for a smooth latent space.

    A picture has some 23 pixels of iris and 2,500 of background: an even loss leaves the colour of irises out.
    """
    pictures = Pictures(cache, **TRAINING_PICTURES, device=device)
    irises = Irises(cache, pictures, count=25_000)

    def loss(vae: Any, generator: torch.Generator) -> tuple[Tensor, Mapping[str, Tensor]]:
        index = torch.randint(irises.count, (32,), generator=generator, device=device)
        x, iris = pictures.images(index), irises.masks(index)
        weight = 1 + 2 * pictures.masks(index) + IRIS_WEIGHT * iris
        with mixed(device):
            posterior = vae.encode(x).latent_dist
            noise = torch.randn(posterior.mean.shape, generator=generator, device=device)
            error = vae.decode(posterior.mean + posterior.std * noise).sample.float() - x
        kl = posterior.kl().mean() / posterior.mean[0].numel()
        edges = sum(torch.diff(error, dim=d).abs().mean() for d in (2, 3))
        total = (weight * (error.abs() + 4 * error.square())).mean() + edges + 1e-3 * kl
        psnr = -10 * torch.log10(F.mse_loss(error, torch.zeros_like(error)) / 4)
        off = (iris * error.abs()).sum() / iris.sum() / 3
        return total, {"psnr": psnr.detach(), "kl": kl.detach(), "iris": off.detach()}

    vae = new_vae()
    descent = Descent(1.5e-3, weight_decay=0.0, ema_decay=0.995)
    how: dict[str, Any] = {"budget": budget, "descent": descent, "device": device, "draws": device, "seed": seed}
    report = fit(vae, loss, checkpoint=cache / "vae.pt", **how)
    with torch.no_grad():
        parts = torch.arange(2000).split(100)
        means = torch.cat([vae.encode(pictures.images(part)).latent_dist.mean for part in parts])
    (cache / SCALE).write_text(json.dumps({"scaling_factor": round(1 / float(means.std()), 5)}))
    return report
