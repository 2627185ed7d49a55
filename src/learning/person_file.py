"""The file of somebody who was learned: safetensors that say what they hold, with their SHA-256 beside them."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor, nn

from src.files.whole import check_record, write_recorded
from src.models.base import HALF
from src.models.folders import read_tensors

AGAIN = "delete it to learn again"
LOOKED_AT = 64  # numbers of each tensor by which weights are known again


def fingerprint(state: Mapping[str, Tensor]) -> str:
    """SHA-256 over names, shapes and first numbers of weights, the same on every device."""
    total = hashlib.sha256(repr([(name, tuple(value.shape)) for name, value in state.items()]).encode())
    for value in state.values():  # parts of a base may be on several devices
        if not value.is_meta:  # meta tensors hold no numbers
            total.update(value.detach().flatten()[:LOOKED_AT].float().cpu().numpy().tobytes())
    return total.hexdigest()


def state_of(**nets: nn.Module) -> dict[str, Tensor]:
    """The weights of several networks, each named after its own."""
    return {f"{net}.{name}": value for net, own in nets.items() for name, value in own.state_dict().items()}


def write(path: Path, tensors: Mapping[str, Tensor], about: Mapping[str, str]) -> None:
    """One file, whole or not there (OSError); about: what it says of itself."""
    tensors = {name: value.detach().contiguous() for name, value in tensors.items()}
    write_recorded(path, save(tensors, metadata={"format": "pt", **about}))


def read(path: Path, about: Mapping[str, str], parts: str) -> dict[str, Tensor]:
    """What `write` wrote with the same `about`, on the CPU; parts: what it was learned on, in words.

    Raises ValueError for a damaged file, or one that says something else of itself.
    """
    check_record(path, AGAIN)
    tensors, said = read_tensors(path, AGAIN)
    if said.get("profusion") != about["profusion"]:
        raise ValueError(f"{path} holds no person in this version's format: {AGAIN}")
    if said["dtype"] != about["dtype"]:
        raise ValueError(
            f"{path} holds somebody learned on a base in {said['dtype']}, and this one is in {about['dtype']}: set "
            f"base.dtype={said['dtype']}, or {AGAIN}"
        )
    if said != {"format": "pt", **about}:
        raise ValueError(f"{path} holds somebody learned on another {parts}: give those, or {AGAIN}")
    return tensors


def kept_as(dtype: torch.dtype) -> str:
    """What a file holds of weights that were trained: on a half base the change, for next to a weight of .02 half a
    digit of bfloat16 is a tenth of what 50 steps of 2e-5 move it; else the weights themselves."""
    return "change" if dtype in HALF else "weights"


def change_of(now: Mapping[str, Tensor], before: Mapping[str, Tensor], dtype: torch.dtype) -> dict[str, Tensor]:
    """What was added to weights, in the base's precision."""
    return {name: (value - before[name]).to(dtype) for name, value in now.items()}


def put_back(now: Mapping[str, Tensor], before: Mapping[str, Tensor], change: Mapping[str, Tensor]) -> None:
    """Weights as they come back from a file: what they were before, and the change."""
    for name, value in now.items():
        value.copy_(before[name].to(value.dtype) + change[name].to(value.device))
