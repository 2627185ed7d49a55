"""What need not be done again: launches on a GPU, recorded and replayed, and deep levels of a U-Net, kept for later."""

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

WARM_UP = 2  # calls in which libraries choose their algorithms and fetch their workspaces


class Recording:
    """A function of tensors that gives one tensor, as a replay of its first call (a CUDA graph); it asks for no value.

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


class DeepReuse(nn.Module):
    """A U-Net whose deep levels may be those of an earlier call (DeepCache, Ma et al. 2023).

    deep: what enters the last level on the way up. None: a call computes it and leaves it here; else a call computes
    the level of full resolution alone, with this.
    """

    def __init__(self, unet: Any) -> None:
        super().__init__()
        self.unet, self.config = unet, unet.config
        self.deep: Tensor | None = None

    @property
    def dtype(self) -> torch.dtype:
        """The U-Net's."""
        return self.unet.dtype

    @property
    def device(self) -> torch.device:
        """Where the U-Net is."""
        return self.unet.device

    def forward(self, sample: Tensor, timestep: Tensor, encoder_hidden_states: Tensor, **more: Any) -> Any:
        if self.deep is not None:
            return SimpleNamespace(sample=self._shallow(sample, timestep, encoder_hidden_states, self.deep))
        handle = self.unet.up_blocks[-1].register_forward_pre_hook(self._keep, with_kwargs=True)
        try:
            return self.unet(sample, timestep, encoder_hidden_states=encoder_hidden_states, **more)
        finally:
            handle.remove()

    def _keep(self, block: Any, args: Any, given: dict[str, Any]) -> None:
        self.deep = given["hidden_states"]

    def _shallow(self, sample: Tensor, timestep: Tensor, text: Tensor, deep: Tensor) -> Tensor:
        unet, down, up = self.unet, self.unet.down_blocks[0], self.unet.up_blocks[-1]
        temb = unet.time_embedding(unet.get_time_embed(sample=sample, timestep=timestep))
        seen = [{"encoder_hidden_states": text} if getattr(b, "has_cross_attention", False) else {} for b in (down, up)]
        x = unet.conv_in(sample)
        _, skips = down(hidden_states=x, temb=temb, **seen[0])
        skips = (x, *skips)[: len(up.resnets)]  # without what goes down to the next level
        x = up(hidden_states=deep, temb=temb, res_hidden_states_tuple=skips, **seen[1])
        return unet.conv_out(unet.conv_act(unet.conv_norm_out(x)))
