"""Muon for the matrices of hidden layers and AdamW for all else, as one optimiser."""

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

HIDDEN = 16  # a layer with fewer channels on one side is an end of the net, not hidden


class Muon:
    """Muon (Jordan et al. 2024) at AdamW's rate: its steps have the root mean square of AdamW's (Liu et al. 2025).

    torch.optim.Muon takes matrices alone, so the kernels of a convolution are given to it as rows of one, which share
    the kernels' memory. Embeddings, biases, norms and the layers at both ends are AdamW's.
    """

    def __init__(self, net: nn.Module, lr: float, weight_decay: float, rest: Any):
        """rest: parameters -> the optimiser of what is no hidden matrix."""
        self._net = net
        self._rows = [(weight, nn.Parameter(rows(weight.data, weight))) for weight in matrices(net)]
        inside = {id(weight) for weight, _ in self._rows}
        how: dict[str, Any] = {"lr": lr, "weight_decay": weight_decay, "adjust_lr_fn": "match_rms_adamw"}
        self._parts: dict[str, torch.optim.Optimizer] = {
            "matrices": torch.optim.Muon([flat for _, flat in self._rows], **how),
            "rest": rest([p for p in net.parameters() if id(p) not in inside]),
        }

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        return [group for part in self._parts.values() for group in part.param_groups]

    def zero_grad(self, set_to_none: bool = True) -> None:
        self._net.zero_grad(set_to_none)

    def step(self) -> None:
        for weight, flat in self._rows:
            flat.grad = None if weight.grad is None else rows(weight.grad, weight)
        for part in self._parts.values():
            part.step()

    def state_dict(self) -> dict[str, Any]:
        return {name: part.state_dict() for name, part in self._parts.items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """ValueError for the state of another optimiser."""
        if state.keys() != self._parts.keys():
            raise ValueError("the checkpoint is one of another optimiser than muon: delete it to begin anew")
        for name, part in self._parts.items():
            part.load_state_dict(state[name])


def matrices(net: nn.Module) -> Iterator[Tensor]:
    """The weights of all hidden linear layers and convolutions."""
    for layer in net.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d) and min(layer.weight.shape[:2]) >= HIDDEN:
            yield layer.weight


def rows(tensor: Tensor, weight: Tensor) -> Tensor:
    """A weight [O, I, ...] or its gradient as a matrix of O rows; the weight's shares its memory, however it lies."""
    if weight.ndim == 4 and not weight.is_contiguous():  # channels last
        tensor = tensor.permute(0, 2, 3, 1)
    return tensor.reshape(len(weight), -1)
