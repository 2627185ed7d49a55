"""What the frozen encoders are, as a digest: latents that were kept may be used with these encoders alone."""

import hashlib

import torch

from src.models.base import TextToImage


def encoders_digest(base: TextToImage) -> str:
    """SHA-256 over all that decides what `posterior` and `see` give: weights, their dtypes, and the latents' scale."""
    total = hashlib.sha256(repr((base.vae.config.scaling_factor, base.image_size)).encode())
    parts = {"encoder": base.vae.encoder, "quant_conv": base.vae.quant_conv, "image_encoder": base.image_encoder}
    for part, module in parts.items():
        for name, tensor in sorted(module.state_dict().items()) if module is not None else ():
            total.update(f"{part}.{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            total.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return total.hexdigest()
