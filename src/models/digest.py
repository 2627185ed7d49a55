"""What a base is, as digests: what was made with it may be used with it alone."""

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


def schedule_digest(base: TextToImage) -> str:
    """SHA-256 over all but weights that decides what a sampler makes of a base: noise levels, and how they are used."""
    rest = (base.prediction_type, base.final_alpha_bar, base.steps_offset, base.vae.config.scaling_factor)
    return hashlib.sha256(repr((base.alpha_bar.tolist(), *rest)).encode()).hexdigest()


SIGNS = 4096  # numbers of each tensor by which a base is known again


@torch.no_grad()
def base_digest(base: TextToImage) -> str:
    """SHA-256 over names, shapes and first signs of the weights that S* goes through: of U-Net, text and image encoder.

    Signs are the same in every precision and on every device; any training of a base turns some.
    """
    total = hashlib.sha256()
    for part in (base.unet, base.text_encoder, base.image_encoder):
        for name, value in sorted(part.named_parameters()):
            total.update(f"{name} {tuple(value.shape)}".encode())
            total.update(value.flatten()[:SIGNS].signbit().cpu().numpy().tobytes())
    return total.hexdigest()
