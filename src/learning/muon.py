"""Muon for the matrices of hidden layers and AdamW for all else, as one optimiser."""

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

HIDDEN = 16  # a weight with fewer channels on one side is at an end of the net, not hidden


class Muon(torch.optim.Optimizer):
    """Muon (Jordan et al. 2024) at AdamW's rate: its steps have the root mean square of AdamW's (Liu et al. 2025).

    torch.optim.Muon takes matrices alone, so the kernels of a convolution are given to it as rows of one, which share
    the kernels' memory. Biases, norms, the weights at both ends of the net and `other` are AdamW's.
    """

    def __init__(
        self,
        params: Iterable[nn.Parameter],
        lr: float,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0.01,
        other: Collection[Tensor] = (),
    ):
        """betas: AdamW's. other: parameters that look like hidden matrices and are none, such as embeddings."""
        every, kept = list(params), {id(p) for p in other}
        super().__init__(every, {"lr": lr})
        hidden = [p for p in every if p.ndim >= 2 and min(p.shape[:2]) >= HIDDEN and id(p) not in kept]
        self._rows = [(weight, nn.Parameter(rows(weight.data, weight))) for weight in hidden]
        inside = {id(weight) for weight in hidden}
        rest = [p for p in every if id(p) not in inside]
        fused = every[0].device.type in ("cpu", "cuda") or None
        self._parts: dict[str, torch.optim.Optimizer] = {
            "rest": torch.optim.AdamW(rest, lr=lr, betas=betas, weight_decay=weight_decay, fused=fused)
        }
        if hidden:
            how: dict[str, Any] = {"lr": lr, "weight_decay": weight_decay, "adjust_lr_fn": "match_rms_adamw"}
            self._parts["matrices"] = torch.optim.Muon([flat for _, flat in self._rows], **how)
        self._every = every
        self._share_groups()

    def _share_groups(self) -> None:
        """Whoever sets the rate of a group sets it for the part whose group it is."""
        self.param_groups = [group for part in self._parts.values() for group in part.param_groups]

    def zero_grad(self, set_to_none: bool = True) -> None:
        for parameter in self._every:
            if parameter.grad is not None:
                parameter.grad = None if set_to_none else parameter.grad.zero_()

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for weight, flat in self._rows:
            flat.grad = None if weight.grad is None else rows(weight.grad, weight)
        for part in self._parts.values():
            part.step()
        for _, flat in self._rows:  # or gradients stay in memory beyond zero_grad
            flat.grad = None
        return loss

    def state_dict(self) -> dict[str, Any]:
        return {name: part.state_dict() for name, part in self._parts.items()}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """ValueError for the state of another optimiser."""
        if state_dict.keys() != self._parts.keys():
            raise ValueError("the checkpoint is one of another optimiser than Muon: delete it to begin anew")
        for name, part in self._parts.items():
            part.load_state_dict(state_dict[name])
        self._share_groups()


def rows(tensor: Tensor, weight: Tensor) -> Tensor:
    """A weight [O, I, ...] or its gradient as a matrix of O rows; the weight's shares its memory, however it lies."""
    if weight.ndim == 4 and not weight.is_contiguous():  # channels last
        tensor = tensor.permute(0, 2, 3, 1)
    return tensor.reshape(len(weight), -1)
