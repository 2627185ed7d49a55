"""E4T: an encoder takes S* off a class word, and offsets bend the U-Net's attention weights (Gal et al. 2023).

arXiv 2302.12228; "[code]" is the public re-implementation mkshing/e4t-diffusion.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from diffusers import UNet2DConditionModel
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn
from torch.nn.utils import parametrize

from src.files.whole import read_object, write_atomic
from src.models.base import TextToImage, native
from src.models.digest import base_digest
from src.models.personal import Word, attention_projections, with_own_unet
from src.models.promptnet_files import CONFIG, WEIGHTS, check_fit
from src.models.words import embeddings_of, one_token

# An outer product of two vectors, passed through a linear layer along rows and one along columns as in [code], is
# (Ax)(By)^T + b (B1)^T + 1 c^T: of rank 3 at the most. Here its vectors themselves are learned.
RANK = 3
WIDTHS = ("width", "features", "vision_width", "text_width")


class WeightOffset(nn.Module):
    """W [out, in] -> W (1 + dW), dW = sum_k column_k row_k^T. At first dW is 0, and W exactly what it was."""

    def __init__(self, out_features: int, in_features: int) -> None:
        super().__init__()
        self.column = nn.Parameter(torch.zeros(RANK, out_features, dtype=torch.float32))
        # small: a step of Adam moves every column by the whole rate, whatever the gradient
        self.row = nn.Parameter(0.1 * torch.randn(RANK, in_features, dtype=torch.float32))

    def forward(self, weight: Tensor) -> Tensor:
        change = (self.column[:, :, None] * self.row[:, None, :]).sum(0)  # no matmul: it would be autocast
        return (weight * (1 + change)).to(weight.dtype)


class E4T(nn.Module):
    """(features of the U-Net at (x_t, t), tokens of the photo) -> the offset of S* from a class word.

    config: noun, the class word; scale, s in S* = e_noun + s offset; the widths of what goes in and out; the shapes of
    the attention projections; base, the digest of the base that all is for ("" until it has been trained on one).
    Weights are float32 whatever the base's are.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__()
        self.config = dict(config)
        features, vision, width = config["features"], 2 * config["vision_width"], config["width"]
        self.unet_features = _embedder(features, width)
        self.image_features = _embedder(vision, width)
        joined = [nn.Linear(2 * width, width), nn.LeakyReLU(), nn.Linear(width, config["text_width"])]
        self.offset = nn.Sequential(nn.LeakyReLU(), *joined)
        self.weight_offsets = nn.ModuleList(WeightOffset(*shape) for shape in config["projections"])
        self.to(torch.float32)

    @classmethod
    def from_unet(
        cls,
        unet: UNet2DConditionModel,
        *,
        vision_width: int,
        text_width: int,
        noun: str = "person",
        scale: float = 0.1,
        width: int = 1280,
    ) -> "E4T":
        """An untrained one for this U-Net. vision_width: of the vision tokens; text_width: D; width: of the layers."""
        if unet.mid_block is None:
            raise ValueError("the U-Net must have a middle block to give features to an E4T")
        shapes = [[linear.out_features, linear.in_features] for linear in attention_projections(unet)]
        config = {"noun": noun, "scale": float(scale), "width": width, "features": _feature_width(unet), "base": ""}
        return cls(config | {"vision_width": vision_width, "text_width": text_width, "projections": shapes})

    @classmethod
    def load(cls, folder: str | Path, trained_by: str = "ffhq_e4t") -> "E4T":
        """Read what `save` wrote, in float32 if stored in half precision. trained_by: the experiment that makes one.

        Raises FileNotFoundError where there is none, ValueError for one that is damaged or foreign.
        """
        folder = Path(folder)
        if not cls.lies_in(folder):
            raise FileNotFoundError(
                f"no E4T at {folder}: train one with `python -m src.train +experiment={trained_by}`, and give its "
                "folder as method.e4t.folder=FOLDER"
            )
        with torch.device("meta"):
            net = cls.described(folder)
        try:
            weights = load_file(folder / WEIGHTS)
        except SafetensorError as error:
            raise ValueError(f"the E4T at {folder} is damaged ({error}): train it again, or restore it") from error
        check_fit({name: tuple(value.shape) for name, value in net.state_dict().items()}, weights, folder, "E4T")
        net.load_state_dict({name: value.float().clone() for name, value in weights.items()}, assign=True)
        return net

    @staticmethod
    def lies_in(folder: str | Path) -> bool:
        """Whether the files of `save` are there."""
        return all((Path(folder) / name).is_file() for name in (CONFIG, WEIGHTS))

    @classmethod
    def described(cls, folder: str | Path) -> "E4T":
        """An untrained one of the sizes of what lies there. ValueError for a configuration that is none of an E4T."""
        config = read_object(Path(folder) / CONFIG, "restore it")
        if wrong := _lacking(config):
            raise ValueError(f"{folder} does not hold an E4T: its {CONFIG} lacks {', '.join(wrong)}")
        return cls(config)

    def save(self, folder: str | Path, dtype: torch.dtype = torch.float32) -> None:
        """Write config.json and the weights as safetensors, in `dtype`; OSError if that fails."""
        tensors = {name: value.detach().to(dtype).contiguous() for name, value in self.state_dict().items()}
        write_atomic(Path(folder) / CONFIG, (json.dumps(self.config, indent=2, sort_keys=True) + "\n").encode())
        write_atomic(Path(folder) / WEIGHTS, save(tensors, metadata={"format": "pt"}))

    def check(self, base: TextToImage) -> None:
        """ValueError for weights of another base."""
        own, here = self.config["base"], base_digest(base)
        if own != here:
            raise ValueError(
                f"these E4T weights are of another base (digest {own[:12] or 'unknown'}, this one has {here[:12]}): "
                "give the base that they were trained on, or train others for this one"
            )

    def forward(self, features: Tensor, vision: Tensor) -> Tensor:
        """features [B, F] as of `unet_features`, vision [B, N, Dv] -> offset [B, 1, D]."""
        dtype: Any = self.offset[-1].weight.dtype
        image = torch.cat([vision[:, 0], vision[:, 1:].mean(1)], dim=1).to(dtype)  # class token, mean of the patches
        both = torch.cat([self.unet_features(features.to(dtype)), self.image_features(image)], dim=1)
        return self.offset(both)[:, None]


def _lacking(config: Mapping[str, Any]) -> list[str]:
    """What of a configuration is not there, or is nothing that it can be."""
    sizes = {name: [config.get(name)] for name in WIDTHS}
    shapes = config.get("projections")
    if isinstance(shapes, list) and all(isinstance(each, list) and len(each) == 2 for each in shapes):
        sizes["projections"] = [size for each in shapes for size in each]
    else:
        sizes["projections"] = [None]
    wrong = [name for name, own in sizes.items() if not all(type(each) is int and each > 0 for each in own)]
    kinds = {"noun": str, "scale": float, "base": str}
    return wrong + [name for name, kind in kinds.items() if not isinstance(config.get(name), kind)]


def _embedder(inputs: int, width: int) -> nn.Sequential:
    return nn.Sequential(nn.LayerNorm(inputs), nn.Linear(inputs, width), nn.LeakyReLU(), nn.Linear(width, width))


def _feature_width(unet: UNet2DConditionModel) -> int:
    """F: channels of all that the U-Net's encoder half hands to its decoder half, and of the middle."""
    own = [unet.conv_in.out_channels, unet.config.block_out_channels[-1]]
    for block in unet.down_blocks:
        own += [each.out_channels for each in (*block.resnets, *(block.downsamplers or ()))]
    return sum(own)


@torch.no_grad()
def unet_features(base: TextToImage, x_t: Tensor, t: int | Tensor) -> Tensor:
    """Mean over positions of every feature map of the frozen U-Net's encoder half: [B, F], under the empty prompt.

    x_t: [B, C, h, w]. t: int, 0-dim or [B].
    """
    unet: Any = base.unet
    with native(unet):
        x_t = x_t.to(unet.dtype)
        time = torch.as_tensor(t, device=x_t.device).expand(len(x_t))
        state = unet.time_embedding(unet.time_proj(time).to(unet.dtype))
        text = base.text([""]).to(unet.dtype).expand(len(x_t), -1, -1)
        x = unet.conv_in(x_t)
        maps = [x]
        for block in (*unet.down_blocks, unet.mid_block):
            seen = {"encoder_hidden_states": text} if getattr(block, "has_cross_attention", False) else {}
            found = block(x, state, **seen)
            x, own = found if isinstance(found, tuple) else (found, (found,))
            maps += own
    means = torch.cat([each.mean((2, 3)) for each in maps], dim=1)
    return means.to(torch.promote_types(means.dtype, torch.float32))


def noun_number(base: TextToImage, e4t: E4T) -> int:
    """The token of the class word. ValueError for one that the tokenizer splits, or that the base does not know."""
    return one_token(e4t.config["noun"], base.tokenizer, base.known_words, "learning.net.noun")


def pseudo_word(base: TextToImage, e4t: E4T, x_t: Tensor, t: int | Tensor, vision: Tensor) -> tuple[Tensor, Tensor]:
    """S* = e_noun + s offset, a token embedding [B, 1, D], and the offset [B, 1, D], of photos with these tokens."""
    offset = e4t(unet_features(base, x_t, t), vision)
    noun = embeddings_of(base.text_encoder)[noun_number(base, e4t)]
    return noun.to(offset) + e4t.config["scale"] * offset, offset


def e4t_words(base: TextToImage, e4t: E4T, photos: Tensor) -> list[Word]:
    """S* of each photo [P, 3, H, W] in [-1, 1] at (x_t, t), with features of this base, which has no offsets."""

    def word(vision: Tensor) -> Word:
        return lambda x_t, t: pseudo_word(base, e4t, x_t, t, vision.expand(len(x_t), -1, -1))[0]

    return [word(own) for own in base.see(photos)]


def with_offsets(base: TextToImage, e4t: E4T) -> TextToImage:
    """The base with a U-Net whose projections are W (1 + dW) at every call: gradients reach the offsets. What is frozen
    is shared, and the base itself stays as it is."""
    own = with_own_unet(base)
    for linear, offset in zip(attention_projections(own.unet), e4t.weight_offsets, strict=True):
        parametrize.register_parametrization(linear, "weight", offset)
    return own


@torch.no_grad()
def merged(base: TextToImage, e4t: E4T) -> TextToImage:
    """The base with the offsets in its weights, to draw with; all that they don't change is shared."""
    own = with_own_unet(base)
    for linear, offset in zip(attention_projections(own.unet), e4t.weight_offsets, strict=True):
        linear.weight = nn.Parameter(offset(linear.weight), requires_grad=False)
    return own
