"""Somebody who was learned: a fine-tuned base and PromptNet, in float32, and the file that holds what changed."""

import copy
import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from src.files.whole import check_record, write_recorded
from src.models.base import HALF, TextToImage, compile_blocks
from src.models.personal import attention_projections
from src.models.promptnet import PromptNet

FORMAT = "profusion-person-2"
LOOKED_AT = 64  # numbers of each tensor by which a base is known again


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
        """These copies as they come back from a file: on a half base, with the change in the base's precision.

        The change, not the weight: next to a weight of .02, half a digit of bfloat16 is a tenth of what 50 steps of
        2e-5 move it.
        """
        dtype = self.base.unet.dtype
        if self.start is None or dtype not in HALF:
            return self
        before, now = self.start.state_dict(), self.trained.state_dict()
        change = {name: (value - before[name]).to(dtype) for name, value in now.items()}
        return self._changed(change)

    def _changed(self, change: Mapping[str, Tensor]) -> "Tuned":
        before = self.start.state_dict() if self.start is not None else {}
        for name, value in self.trained.state_dict().items():
            value.copy_(before[name].to(value.dtype) + change[name].to(value.device))
        return replace(self, change=change)

    def save(self, path: Path) -> None:
        """One safetensors file with its SHA-256 beside it, whole or not there (OSError): the change, or on a
        full-precision base the weights."""
        tensors = self.trained.state_dict() if self.change is None else self.change
        tensors = {name: value.detach().contiguous() for name, value in tensors.items()}
        write_recorded(path, save(tensors, metadata={"format": "pt", **self._about()}))

    def _about(self) -> dict[str, str]:
        """What a file says of itself, and must say to be of use here."""
        dtype = str(self.base.unet.dtype).removeprefix("torch.")
        holds = "change" if self.base.unet.dtype in HALF else "weights"
        return {"profusion": FORMAT, "holds": holds, "dtype": dtype, "start": self._fingerprint()}

    def _fingerprint(self) -> str:
        """SHA-256 over names, shapes and first numbers of what training started from, the same on every device."""
        state = (self.trained if self.start is None else self.start).state_dict()
        total = hashlib.sha256(repr([(name, tuple(value.shape)) for name, value in state.items()]).encode())
        first = torch.cat([value.flatten()[:LOOKED_AT].float() for value in state.values()])
        total.update(first.cpu().numpy().tobytes())
        return total.hexdigest()

    @torch.no_grad()
    def load(self, path: Path) -> "Tuned":
        """What `save` wrote, into these untouched copies. ValueError for a damaged file, one of another base,
        PromptNet or precision."""
        check_record(path, "delete it to learn again")
        try:
            with safe_open(path, "pt") as file:
                self._check(path, file.metadata() or {})
                found = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except SafetensorError as error:
            raise ValueError(f"{path} is damaged ({error}): delete it to learn again") from error
        if self._about()["holds"] == "change":
            return self._changed(found)
        self.trained.load_state_dict(found)
        return self

    def _check(self, path: Path, said: Mapping[str, str]) -> None:
        here = self._about()
        if said.get("profusion") != FORMAT:
            raise ValueError(f"{path} holds no person in this version's format: delete it to learn again")
        if said["dtype"] != here["dtype"]:
            raise ValueError(
                f"{path} holds somebody learned on a base in {said['dtype']}, and this one is in {here['dtype']}: set "
                f"base.dtype={said['dtype']}, or delete it to learn again"
            )
        if said != {"format": "pt", **here}:
            raise ValueError(
                f"{path} holds somebody learned on another base or PromptNet: give those, or delete it to learn again"
            )

    @torch.no_grad()
    def in_use(self) -> tuple[TextToImage, PromptNet]:
        """Base and PromptNet to draw with: all in the base's precision, sharing what they can."""
        dtype, base, promptnet = self.base.unet.dtype, self.base, self.promptnet

        def half(value: Tensor) -> Tensor:
            return value.to(dtype)

        if dtype in HALF:
            base, promptnet = _with_projections(base, half), _remade(promptnet, promptnet.parameters(), half)
        if base.compiled:
            compile_blocks(base.unet)
            compile_blocks(promptnet)
        return base, promptnet


def untuned(base: TextToImage, promptnet: PromptNet) -> Tuned:
    """Copies of what fine-tuning changes, in float32 if they are half; what stays frozen is shared."""

    def master(value: Tensor) -> Tensor:
        return value.to(torch.promote_types(value.dtype, torch.float32), copy=True)

    own, net = _with_projections(base, master), _remade(promptnet, promptnet.parameters(), master)
    return Tuned(own, net, start=trained_of(base, promptnet))


def _with_projections(base: TextToImage, remake: Callable[[Tensor], Tensor]) -> TextToImage:
    """The base with a U-Net whose projections are remade."""
    own = copy.copy(base)
    own._modules = dict(base._modules)
    own.unet = _remade(base.unet, attention_projections(base.unet).parameters(), remake)
    return own


def _remade(net: Any, parameters: Iterable[nn.Parameter], remake: Callable[[Tensor], Tensor]) -> Any:
    """A frozen copy of a network in which some parameters are remade, and all other tensors shared."""
    memo: dict[int, Any] = {id(tensor): tensor for tensor in (*net.parameters(), *net.buffers())}
    memo |= {id(each): nn.Parameter(remake(each.detach()), requires_grad=False) for each in parameters}
    return copy.deepcopy(net, memo)
