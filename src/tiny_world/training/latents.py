"""What the base learns from: latents and traits of the training pictures, computed once and kept in the cache."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from src.files.whole import sha256_of
from src.tiny_world.names import traits_of
from src.tiny_world.training.checkpoints import load_vae
from src.tiny_world.training.pictures import Pictures, read_rows, write_rows


class Latents:
    """Posterior mean and standard deviation of every picture, encoded once, on a device."""

    def __init__(self, cache: Path, pictures: Pictures, device: torch.device):
        vae = sha256_of(cache / "vae.pt")[:8]
        # those of an autoencoder that was trained further are others
        path = cache / f"latents-{vae}-{pictures.key}.npy"
        autoencoder = load_vae(cache)
        if not path.exists():
            _encode_all(autoencoder, pictures, path, device)
        self.data, self.scale = read_rows(path, device), autoencoder.config.scaling_factor

    def sample(self, index: Tensor, generator: torch.Generator) -> Tensor:
        """Scaled posterior samples [B, 4, 16, 16]."""
        mean, std = self.data[index].float().unbind(1)
        return self.scale * (mean + std * torch.randn(mean.shape, generator=generator, device=mean.device))


@torch.no_grad()
def _encode_all(vae: Any, pictures: Pictures, path: Path, device: torch.device) -> None:
    beside, vae = path.with_suffix(".tmp.npy"), vae.to(device)
    out = np.lib.format.open_memmap(beside, "w+", np.float16, (pictures.count, 2, 4, 16, 16))
    for index in torch.arange(pictures.count).split(100 if device.type == "cpu" else 2000):
        with torch.autocast(device.type, torch.bfloat16):
            posterior = vae.encode(pictures.images(index).to(device)).latent_dist
        out[index[0] : index[-1] + 1] = torch.stack([posterior.mean, posterior.std], 1).half().cpu().numpy()
    out.flush()
    os.replace(beside, path)


def known_traits(cache: Path, pictures: Pictures, device: torch.device) -> Tensor:
    """The traits of all people shown [P, T], in their order."""
    path = cache / f"traits-{pictures.key}.npy"
    if not path.exists():
        one = lambda index: traits_of([pictures.first + index])[0].numpy()  # noqa: E731
        write_rows(path, one, -(-pictures.count // pictures.per_person), one(0).shape, np.float32)
    return read_rows(path, device)
