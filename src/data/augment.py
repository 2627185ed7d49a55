"""Augmentation for fine-tuning (Zhou et al. 2023, appendix A): mask the subject, move it, have the rest repainted."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torchvision.transforms.v2.functional import InterpolationMode, affine

# (images [B, 3, H, W] in [-1, 1], masks [B, 1, H, W] with 1 where to paint, prompts, seeds) -> images [B, 3, H, W]
Inpaint = Callable[[Tensor, Tensor, Sequence[str], Sequence[int]], Tensor]

ROTATION = 10.0  # degrees, either way
TRANSLATION = 0.2  # of the image's side, either way
SCALE = (0.6, 1.0)
LEAST = 0.01  # share of the image that a subject must have


def moved(
    image: Tensor,
    mask: Tensor,
    generator: torch.Generator,
    *,
    translation: float = TRANSLATION,
    scale: Sequence[float] = SCALE,
) -> tuple[Tensor, Tensor]:
    """Image [3, H, W] and mask [1, H, W], turned, shifted and scaled at random, both alike; 0 where nothing is left."""
    draw = torch.rand(4, generator=generator)
    angle = ROTATION * float(2 * draw[0] - 1)
    across, down = (
        translation * side * float(2 * d - 1) for side, d in zip(image.shape[:0:-1], draw[1:3], strict=True)
    )
    size = scale[0] + (scale[1] - scale[0]) * float(draw[3])
    both = torch.cat([image, mask])
    placed = affine(both, angle, [across, down], size, [0.0, 0.0], interpolation=InterpolationMode.BILINEAR)
    return placed[:3], placed[3:]


def _check(mask: Tensor) -> None:
    share = float(mask.mean())
    if not share >= LEAST:
        raise ValueError(
            f"the mask covers {share:.1%} of the photo, so no subject is in it: choose another mask, "
            "mask@world.augmentation.mask=face, fixed_box, or file (drawn by you)"
        )


@dataclass(frozen=True)
class Augment:
    """What variants of a photo are made: `count` of them, under guiding prompts that are taken in turn.

    count: the paper's 31, beside the original. batch: how many are painted at once. translation: how far a subject is
    moved at most, of the image's side, either way. scale: [least, most] of its size.
    """

    prompts: Sequence[str]
    count: int = 31
    batch: int = 16
    seed: int = 0
    translation: float = TRANSLATION
    scale: Sequence[float] = SCALE

    def __post_init__(self) -> None:
        if self.count < 1 or not self.prompts:
            raise ValueError(f"augmentation needs count ({self.count}) >= 1 and prompts ({list(self.prompts)})")
        if not 0 <= self.translation <= 1:
            raise ValueError(f"augment.translation ({self.translation}) must be in [0, 1], of the image's side")
        if len(self.scale) != 2 or not 0 < self.scale[0] <= self.scale[1]:
            raise ValueError(f"augment.scale ({list(self.scale)}) must be [least, most] with 0 < least <= most")

    def __call__(self, photo: Tensor, mask: Tensor, inpaint: Inpaint) -> Tensor:
        """The photo [3, H, W] in [-1, 1] itself, then its variants: [count + 1, 3, H, W].

        mask: [1, H, W] in [0, 1] on the CPU, 1 on the subject, whose pixels are kept as they are, at another place.
        Raises ValueError for a mask that shows next to nothing.
        """
        _check(mask)
        mask = mask.to(photo.device)
        generators = [torch.Generator().manual_seed(self.seed * 1_000_003 + k) for k in range(self.count)]
        where: dict[str, Any] = {"translation": self.translation, "scale": self.scale}
        placed = [moved(photo, mask, generator, **where) for generator in generators]
        images, masks = torch.stack([p[0] for p in placed]), torch.stack([p[1] for p in placed])
        prompts = [self.prompts[k % len(self.prompts)] for k in range(self.count)]
        painted = []
        for start in range(0, self.count, self.batch):
            part = slice(start, start + self.batch)
            seeds = range(self.seed + start, self.seed + start + len(prompts[part]))
            painted.append(inpaint(images[part], (masks[part] < 0.5).float(), prompts[part], list(seeds)))
        return torch.cat([photo[None], torch.lerp(torch.cat(painted).to(images), images, masks)])
