"""Somebody who was learned: a fine-tuned base and PromptNet, in float32, and the file that holds what changed."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from src.learning.copies import copied, master, remade
from src.learning.person_file import change_of, fingerprint, kept_as, put_back, read, write
from src.models.base import HALF, TextToImage, compile_blocks
from src.models.personal import attention_projections, drawn_with
from src.models.promptnet import PromptNet

FORMAT = "profusion-person-2"


def trained_of(base: TextToImage, promptnet: PromptNet) -> nn.ModuleDict:
    """What fine-tuning trains: all of PromptNet, and the U-Net's q, k, v projections."""
    return nn.ModuleDict({"promptnet": promptnet, "projections": attention_projections(base.unet)})


@dataclass(frozen=True)
class Tuned:
    """A base and a PromptNet that were fine-tuned on somebody; the originals are untouched.

    start: what was trained, as it was before; None for a base and a PromptNet as they came.
    change: what is to be kept of somebody learned on a half base, in that base's precision: name -> what was added.
    """

    base: TextToImage
    promptnet: PromptNet
    start: nn.ModuleDict | None = None
    change: Mapping[str, Tensor] | None = None

    @property
    def trained(self) -> nn.ModuleDict:
        """The trained parts, float32 or better."""
        return trained_of(self.base, self.promptnet)

    @torch.no_grad()
    def rounded(self) -> "Tuned":
        """These copies as they come back from a file: on a half base, with the change in the base's precision."""
        change = self._change()
        return self if change is None else self._changed(change)

    def _change(self) -> Mapping[str, Tensor] | None:
        """What is kept of these weights where it is no weight itself: on a half base, what was added."""
        if self.change is not None or self.start is None or self._about()["holds"] == "weights":
            return self.change
        return change_of(self.trained.state_dict(), self.start.state_dict(), self.base.unet.dtype)

    def _changed(self, change: Mapping[str, Tensor]) -> "Tuned":
        assert self.start is not None, "copies alone can be changed"
        put_back(self.trained.state_dict(), self.start.state_dict(), change)
        return replace(self, change=change)

    @torch.no_grad()
    def save(self, path: Path) -> None:
        """One safetensors file with its SHA-256 beside it, whole or not there (OSError): the change, or on a
        full-precision base the weights."""
        change = self._change()
        write(path, self.trained.state_dict() if change is None else change, self._about())

    def _about(self) -> dict[str, str]:
        """What a file says of itself, and must say to be of use here."""
        dtype = self.base.unet.dtype
        name = str(dtype).removeprefix("torch.")
        start = fingerprint((self.trained if self.start is None else self.start).state_dict())
        return {"profusion": FORMAT, "holds": kept_as(dtype), "dtype": name, "start": start}

    @torch.no_grad()
    def load(self, path: Path) -> "Tuned":
        """What `save` wrote, into these untouched copies. ValueError for a damaged file, one of another base,
        PromptNet or precision."""
        about = self._about()
        found = read(path, about, "base or PromptNet")
        if about["holds"] == "change":
            return self._changed(found)
        self.trained.load_state_dict(found)
        return self

    @torch.no_grad()
    def in_use(self) -> tuple[TextToImage, PromptNet]:
        """Base and PromptNet to draw with: all in the base's precision, sharing what they can; neither of these here is
        compiled itself."""
        dtype, base, promptnet = self.base.unet.dtype, self.base, self.promptnet

        def half(value: Tensor) -> Tensor:
            return value.to(dtype)

        if dtype in HALF:
            base, promptnet = _with_projections(base, half), remade(promptnet, promptnet.parameters(), half)
        if base.compiled:
            promptnet = remade(promptnet, (), half)
            compile_blocks(promptnet)
        return drawn_with(base), promptnet


def untuned(base: TextToImage, promptnet: PromptNet) -> Tuned:
    """Copies of what fine-tuning changes, in float32 if they are half; what stays frozen is shared."""
    net = remade(promptnet, promptnet.parameters(), master)
    return Tuned(_with_projections(base, master), net, start=trained_of(base, promptnet))


def _with_projections(base: TextToImage, remake: Callable[[Tensor], Tensor]) -> TextToImage:
    """The base with a U-Net whose projections are remade."""
    return copied(base, {"unet": attention_projections(base.unet).parameters()}, remake)
