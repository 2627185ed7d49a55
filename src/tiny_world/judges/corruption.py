"""The wear that judges must bear: they will be shown what came out of a VAE, never what they were trained on."""

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.transforms.v2 import functional


def corrupt(images: Tensor, generator: torch.Generator) -> Tensor:
    """images [B, 3, H, W] in [-1, 1] -> the same, each a little moved, blurred, re-coloured, noisy and compressed."""
    return jpeg(noise(tint(blur(move(images, generator), generator), generator), generator), generator)


def _uniform(batch: int, low: float, high: float, generator: torch.Generator) -> Tensor:
    return low + (high - low) * torch.rand(batch, 1, 1, 1, generator=generator)


def move(images: Tensor, generator: torch.Generator, reach: float = 0.08) -> Tensor:
    """Shift by up to `reach` of the half-width, scale by up to 8 %, turn by up to 6 degrees; borders are mirrored."""
    batch = len(images)
    scale, angle = _uniform(batch, 0.92, 1.08, generator), _uniform(batch, -0.1, 0.1, generator)
    shift = (2 * torch.rand(batch, 2, 1, generator=generator) - 1) * reach
    cos, sin = (scale * angle.cos()).view(-1, 1), (scale * angle.sin()).view(-1, 1)
    turn = torch.stack([torch.cat([cos, -sin], 1), torch.cat([sin, cos], 1)], 1)
    grid = F.affine_grid(torch.cat([turn, shift], 2), list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, padding_mode="reflection", align_corners=False)


def blur(images: Tensor, generator: torch.Generator) -> Tensor:
    """A mixture of the image and of its mean over 3 x 3 pixels; one image in four is left sharp."""
    soft = F.avg_pool2d(F.pad(images, (1, 1, 1, 1), mode="replicate"), 3, 1)
    amount = _uniform(len(images), -0.33, 1.0, generator).clamp(min=0)
    return images + amount * (soft - images)


def tint(images: Tensor, generator: torch.Generator) -> Tensor:
    """Contrast and brightness change by up to 8 % and 4 %."""
    batch = len(images)
    return images * _uniform(batch, 0.92, 1.08, generator) + _uniform(batch, -0.08, 0.08, generator)


def noise(images: Tensor, generator: torch.Generator) -> Tensor:
    """White noise with a deviation of up to 4 % of the range."""
    amount = _uniform(len(images), 0.0, 0.08, generator)
    return (images + amount * torch.randn(images.shape, generator=generator)).clamp(-1, 1)


def jpeg(images: Tensor, generator: torch.Generator, share: float = 0.25) -> Tensor:
    """That share of the images goes through JPEG at a quality between 40 and 90."""
    chosen = (torch.rand(len(images), generator=generator) < share).nonzero()[:, 0]
    quality = torch.randint(40, 90, (len(images),), generator=generator)
    out = images.clone()
    for i in chosen.tolist():
        pixels = ((images[i] + 1) * 127.5).round().byte()
        out[i] = functional.jpeg(pixels, int(quality[i])).float() / 127.5 - 1
    return out
