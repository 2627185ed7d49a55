"""Copies of a base in which some weights are other ones, and all else is shared."""

import copy
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from src.models.base import TextToImage


def master(value: Tensor) -> Tensor:
    """A copy in float32 or better, whatever the base's precision: what is trained."""
    return value.to(torch.promote_types(value.dtype, torch.float32), copy=True)


def copied(
    base: TextToImage, parts: Mapping[str, Iterable[nn.Parameter]], remake: Callable[[Tensor], Tensor]
) -> TextToImage:
    """The base with parts of its own, "unet" say, of which these parameters are remade."""
    own = copy.copy(base)
    own._modules = dict(base._modules)
    for name, parameters in parts.items():
        own._modules[name] = remade(getattr(base, name), parameters, remake)
    return own


def remade(net: Any, parameters: Iterable[nn.Parameter], remake: Callable[[Tensor], Tensor]) -> Any:
    """A frozen copy of a network in which some parameters are remade, and all other tensors shared."""
    memo: dict[int, Any] = {id(tensor): tensor for tensor in (*net.parameters(), *net.buffers())}
    memo |= {id(each): nn.Parameter(remake(each.detach()), requires_grad=False) for each in parameters}
    return copy.deepcopy(net, memo)
