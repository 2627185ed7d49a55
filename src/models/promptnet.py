"""PromptNet: the encoder half of the base U-Net turns a photo into the pseudo-word S* (Zhou et al. 2023).

Module names are those of the authors' released checkpoint, so that one reader serves theirs and ours.
"""

import copy
import inspect
import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from diffusers import UNet2DConditionModel
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from src.files.whole import write_atomic
from src.models.promptnet_files import CONFIG, WEIGHTS, check_fit, read_folder

# Heads of the released checkpoint that feed nothing.
UNUSED_HEADS = (
    "residual_projections.",
    "residual_projections_2.",
    "mid_residual_projection.",
    "mid_residual_projection_2.",
)


class NoisyInput(nn.Module):
    """3x3 convolution, SiLU, 3x3 convolution: noisy latents [B, C, h, w] -> features [B, D, h, w]."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.conv_in = nn.Conv2d(channels, width, 3, padding=1)
        self.conv_out = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x_t: Tensor) -> Tensor:
        return self.conv_out(F.silu(self.conv_in(x_t)))


class PromptNet(nn.Module):
    """(x_t, t, x_ref, vision) -> pseudo-tokens [B, K, D]; build it by from_unet, from_official or load.

    config: the U-Net's configuration with region_kernel_size, region_proj_channel, prompt_channel,
    vision_width, reduction (from latents to the lowest resolution) and with_noise (False: whoever samples
    passes x_ref in the place of x_t, as the authors' pipeline does; the network itself takes what it is given).
    Weights are float32 whatever the U-Net's are: in half precision a step of 2e-5 moves none of them.
    gradient_checkpointing: set to True to trade time for memory in training.
    """

    def __init__(self, unet: UNet2DConditionModel, config: Mapping[str, Any]) -> None:
        super().__init__()
        if unet.mid_block is None or unet.config.class_embed_type is not None:
            raise ValueError("the U-Net must have a middle block and no class embedding to become a PromptNet")
        self.config = dict(config)
        self.gradient_checkpointing = False
        self.conv_in = copy.deepcopy(unet.conv_in)
        self.time_proj = copy.deepcopy(unet.time_proj)
        self.time_embedding = copy.deepcopy(unet.time_embedding)
        self.down_blocks = copy.deepcopy(unet.down_blocks)
        self.mid_block = copy.deepcopy(unet.mid_block)
        self._add_heads([int(width) for width in unet.config.block_out_channels])
        self.requires_grad_(True).to(device=unet.device, dtype=torch.float32)

    def _add_heads(self, widths: list[int]) -> None:
        """New layers: the input of x_t, the vision tokens' width, and the projections to pseudo-tokens."""
        config, channels = self.config, self.config["region_proj_channel"]
        self.promptnet_cond_embedding = NoisyInput(self.conv_in.in_channels, widths[0])
        self.vision_embedding = nn.Linear(config["vision_width"], self.config["cross_attention_dim"])

        def projection(width: int, halvings: int) -> nn.Conv2d:
            kernel = max(config["reduction"] // 2**halvings, 1)
            return nn.Conv2d(width, channels, kernel, stride=kernel)

        last = len(widths) - 1  # the last block does not halve the resolution
        self.first_prompt_projection = projection(widths[0], 0)
        self.down_prompt_projections = nn.ModuleList(
            projection(width, min(i + 1, last)) for i, width in enumerate(widths)
        )
        self.mid_prompt_projection = projection(widths[-1], last)
        kernel = config["region_kernel_size"]
        self.region_prompt_output = nn.Conv2d(
            channels * (len(widths) + 2), config["prompt_channel"], kernel, stride=kernel
        )

    @classmethod
    def from_unet(
        cls,
        unet: UNet2DConditionModel,
        *,
        vision_width: int,
        text_width: int,
        pseudo_channels: int = 128,
        region_kernel: int | None = None,
    ) -> "PromptNet":
        """A trainable PromptNet initialised from the base U-Net's weights; the new layers start at random.

        vision_width: width of the vision tokens. text_width: D, the text encoder's width.
        pseudo_channels: channels of each projected feature map.
        region_kernel: kernel = stride of the last convolution; None: the whole lowest resolution, K = 1.
        """
        reduction = 2 ** (len(unet.config.block_out_channels) - 1)
        size = unet.config.sample_size
        lowest = size // reduction if isinstance(size, int) else 0
        kernel = lowest if region_kernel is None else region_kernel
        if not 1 <= kernel <= lowest:
            raise ValueError(
                f"region_kernel ({region_kernel}) must be in [1, {lowest}] for a U-Net of sample_size {size}"
            )
        config = {key: value for key, value in unet.config.items() if not key.startswith("_")}
        config |= {"region_kernel_size": kernel, "region_proj_channel": pseudo_channels, "with_noise": True}
        config |= {"prompt_channel": text_width, "vision_width": vision_width, "reduction": reduction}
        return cls(unet, config)

    @classmethod
    def from_official(cls, folder: str | Path) -> "PromptNet":
        """Read the authors' released format: config.json and diffusion_pytorch_model.safetensors or .bin.

        The residual heads, which feed nothing, are skipped by name; every other tensor must fit. A pickle is read with
        weights_only=True. Raises FileNotFoundError or ValueError for a file that is missing, damaged or foreign; what
        is unexpected, absent or of another shape is named.
        """
        return cls._restored(folder, UNUSED_HEADS)

    @classmethod
    def load(cls, folder: str | Path) -> "PromptNet":
        """Read what `save` wrote, in float32 if stored in half precision; errors as from_official."""
        return cls._restored(folder)

    @classmethod
    def continued(
        cls, unet: UNet2DConditionModel, *, folder: str | Path, vision_width: int, text_width: int
    ) -> "PromptNet":
        """What `save` wrote, to be trained further on this base; errors as from_official, ValueError for one of another
        base's widths too."""
        net = cls.load(folder)
        widths: dict[str, Any] = {"prompt_channel": text_width, "vision_width": vision_width}
        widths["block_out_channels"] = list(unet.config.block_out_channels)
        for name, width in widths.items():
            actual = list(net.config[name]) if isinstance(width, list) else net.config[name]
            if actual != width:
                raise ValueError(f"{folder} holds a PromptNet of another base: its {name} is {actual}, not {width}")
        return net

    @classmethod
    def _restored(cls, folder: str | Path, skipped: tuple[str, ...] = ()) -> "PromptNet":
        config, weights = read_folder(Path(folder))
        weights = {name: tensor for name, tensor in weights.items() if not name.startswith(skipped)}
        for name in ("vision_embedding.weight", "first_prompt_projection.weight"):
            if name not in weights:
                raise ValueError(f"{folder} does not hold a PromptNet: its weights lack {name}")
        config = {"with_noise": False} | config  # the authors' default
        config["vision_width"] = weights["vision_embedding.weight"].shape[1]
        config["reduction"] = weights["first_prompt_projection.weight"].shape[-1]
        with torch.device("meta"):
            net = cls(_encoder_shell(config), config)
        check_fit({name: tuple(tensor.shape) for name, tensor in net.state_dict().items()}, weights, folder)
        # copies: what safetensors reads is a view of the file, which may be written over
        copies = {name: tensor.to(torch.float32, copy=True) for name, tensor in weights.items()}
        net.load_state_dict(copies, strict=True, assign=True)
        return net

    def save(self, folder: str | Path, dtype: torch.dtype | None = None) -> None:
        """Write config.json and the weights as safetensors, in `dtype` (None: as they are); OSError if that fails."""
        folder = Path(folder)
        tensors = {name: tensor.detach().to(dtype=dtype).contiguous() for name, tensor in self.state_dict().items()}
        write_atomic(folder / CONFIG, (json.dumps(self.config, indent=2, sort_keys=True) + "\n").encode())
        write_atomic(folder / WEIGHTS, save(tensors, metadata={"format": "pt"}))

    @property
    def num_pseudo_tokens(self) -> int:
        """K at the U-Net's own latent size."""
        lowest = self.config["sample_size"] // self.config["reduction"]
        return (lowest // self.config["region_kernel_size"]) ** 2

    def forward(self, x_t: Tensor, t: int | Tensor, x_ref: Tensor, vision: Tensor) -> Tensor:
        """Pseudo-tokens [B, K, D] of a photo as seen at one moment of sampling, in float32 (or float64).

        x_t, x_ref: [B, C, h, w], noisy latents and the photo's latents. t: timestep, int, 0-dim or [B].
        vision: [B, N, Dv], the image encoder's tokens of the photo.
        """
        dtype = self.conv_in.weight.dtype  # half where it is sampled with, beside a half base
        x_t, x_ref, vision = x_t.to(dtype), x_ref.to(dtype), vision.to(dtype)
        assert x_t.shape == x_ref.shape and len(vision) == len(x_ref), "x_t, x_ref and vision must be of one batch"
        time = torch.as_tensor(t, device=x_ref.device).expand(len(x_ref))
        time_state = self.time_embedding(self.time_proj(time).to(x_ref.dtype))
        states = self.vision_embedding(vision)
        x = self.conv_in(x_ref) + self.promptnet_cond_embedding(x_t)
        maps = [self.first_prompt_projection(x)]
        for block, project in zip(self.down_blocks, self.down_prompt_projections, strict=True):
            x, _ = self._run(block, x, time_state, states)
            maps.append(project(x))
        x = self._run(self.mid_block, x, time_state, states)
        maps.append(self.mid_prompt_projection(x))
        pseudo = self.region_prompt_output(torch.cat(maps, dim=1)).flatten(2).transpose(1, 2)
        return pseudo.to(torch.promote_types(pseudo.dtype, torch.float32))

    def _run(self, block: nn.Module, x: Tensor, time_state: Tensor, states: Tensor) -> Any:
        kwargs = {"encoder_hidden_states": states} if getattr(block, "has_cross_attention", False) else {}
        if self.gradient_checkpointing and self.training:
            return checkpoint(partial(block, **kwargs), x, time_state, use_reentrant=False)
        return block(x, time_state, **kwargs)


def _encoder_shell(config: Mapping[str, Any]) -> UNet2DConditionModel:
    """A U-Net whose encoder half is the configured one; its decoder half is a stand-in that is never used."""
    known = inspect.signature(UNet2DConditionModel.__init__).parameters
    accepted = {key: value for key, value in config.items() if key in known}
    return UNet2DConditionModel(**accepted | {"up_block_types": ["UpBlock2D"] * len(config["down_block_types"])})
