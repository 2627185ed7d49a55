"""What learning somebody changes of a base, all weights of some parts or a LoRA, and what of it is kept."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from src.learning.copies import copied, master
from src.learning.person_file import change_of, kept_as
from src.models.base import TextToImage
from src.models.lora import lora_of, new_lora, put_lora

Begun = tuple[TextToImage, list[nn.Parameter]]  # a base with copies of its own, and what of them is to be trained


@dataclass(frozen=True)
class Weights:
    """All weights of some parts of the base, the U-Net among them."""

    parts: tuple[str, ...]

    def holds(self, base: TextToImage) -> str:
        """What a file of it holds, in words."""
        return f"{kept_as(base.unet.dtype)} of {' and '.join(self.parts)}"

    def begin(self, base: TextToImage) -> Begun:
        """Float32 copies of the parts."""
        own = copied(base, {part: getattr(base, part).parameters() for part in self.parts}, master)
        return own, [each for part in self.parts for each in getattr(own, part).requires_grad_(True).parameters()]

    @torch.no_grad()
    def kept(self, base: TextToImage, own: TextToImage) -> dict[str, Tensor]:
        """The weights or, on a half base, what was added to them, in its precision."""
        now, dtype = self._named(own), base.unet.dtype
        return now if kept_as(dtype) == "weights" else change_of(now, self._named(base), dtype)

    @torch.no_grad()
    def restored(self, base: TextToImage, kept: Mapping[str, Tensor]) -> TextToImage:
        """The base with what was kept, in its own precision."""
        own = copied(base, {part: getattr(base, part).parameters() for part in self.parts}, torch.clone)
        added = kept_as(base.unet.dtype) == "change"
        for name, value in self._named(own).items():
            found = kept[name].to(value.device)
            value.copy_(value.float() + found.float() if added else found)
        return own

    def _named(self, base: TextToImage) -> dict[str, Tensor]:
        return {
            f"{part}.{name}": value.detach()
            for part in self.parts
            for name, value in getattr(base, part).named_parameters()
        }


@dataclass(frozen=True)
class LowRank:
    """A LoRA of the U-Net's attention projections, kept as diffusers keeps it. seed: of its first factors."""

    rank: int
    seed: int

    def holds(self, base: TextToImage) -> str:
        """What a file of it holds, in words."""
        return f"a LoRA of rank {self.rank}"

    def begin(self, base: TextToImage) -> Begun:
        """A LoRA that changes nothing yet, in float32."""
        own = copied(base, {"unet": ()}, master)
        return own, new_lora(own.unet, self.rank, self.seed)

    def kept(self, base: TextToImage, own: TextToImage) -> dict[str, Tensor]:
        """Its factors in the base's precision."""
        return {name: value.to(base.unet.dtype) for name, value in lora_of(own.unet).items()}

    def restored(self, base: TextToImage, kept: Mapping[str, Tensor]) -> TextToImage:
        """The base with what was kept beside its weights."""
        return with_lora(base, kept, {})


def with_lora(base: TextToImage, tensors: Mapping[str, Tensor], about: Mapping[str, str]) -> TextToImage:
    """The base with a LoRA beside its U-Net's weights; about: what its file says of itself."""
    own = copied(base, {"unet": ()}, master)
    put_lora(own.unet, tensors, about)
    return own
