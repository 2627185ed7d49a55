"""What a function queues on a GPU, recorded once and replayed (a CUDA graph): thousands of launches become one."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

WARM_UP = 2  # calls in which libraries choose their algorithms and fetch their workspaces


class Recording:
    """A function of tensors that gives one tensor, as a replay of its first call; it must ask for no value on the way.

    Inputs keep their shapes; nothing else that the function reads may move. No gradients pass.
    """

    def __init__(self, function: Callable[..., Tensor], inputs: Sequence[Tensor]):
        self._inputs = [value.clone() for value in inputs]
        self._graph = torch.cuda.CUDAGraph()
        with torch.no_grad(), torch.cuda.device(inputs[0].device):
            aside = torch.cuda.Stream()
            aside.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(aside):
                for _ in range(WARM_UP):
                    function(*self._inputs)
            torch.cuda.current_stream().wait_stream(aside)
            with torch.cuda.graph(self._graph):
                self._output = function(*self._inputs)

    def __call__(self, *inputs: Tensor) -> Tensor:
        """The function's answer for inputs of the same shapes."""
        for kept, value in zip(self._inputs, inputs, strict=True):
            kept.copy_(value)
        self._graph.replay()
        return self._output.clone()
