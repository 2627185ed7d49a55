"""Compilation by regions: the blocks that repeat, not the whole of a network, so that it takes a minute at most."""

from diffusers.models.attention import BasicTransformerBlock
from torch import nn


def compile_blocks(net: nn.Module) -> nn.Module:
    """Compile a network's transformer blocks in place, at their first calls; those of one width share the code.

    Shapes are taken as variable, so that other batches and resolutions are no other code. A copy of the network is not
    compiled.
    """
    for block in (module for module in net.modules() if isinstance(module, BasicTransformerBlock)):
        block.compile(dynamic=True, fullgraph=True)
    return net
