"""A base of any architecture with random weights: what a real one does, in time and memory, without a download."""

import gzip
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer, CLIPVisionConfig, CLIPVisionModel

from src.models.base import TextToImage, dtype_of

MERGES = "bpe_simple_vocab_16e6.txt.gz"  # CLIP's byte-pair merges, as open_clip ships them
VOCABULARY = 49_408
LENGTH = 77
Config = Mapping[str, Any]


def random_base(
    *,
    unet: Config,
    vae: Config,
    text_encoder: Config,
    image_encoder: Config,
    scheduler: Config,
    pad_token: str,
    dtype: str = "float32",
    seed: int = 0,
    device: str = "cpu",
    tokenizer: str | None = None,
) -> TextToImage:
    """A base from the configurations of its parts, as diffusers and transformers name them.

    dtype: as of src.models.base.load_base. device: where the weights are drawn, which a GPU does in a second; its
    numbers are others. The global generators are left as they are.
    tokenizer: a folder of another CLIPTokenizer than CLIP's own, for 77 tokens, where open_clip is not installed.
    """
    configs = {"unet": unet, "vae": vae, "text_encoder": text_encoder, "image_encoder": image_encoder}
    steps = DDIMScheduler(**scheduler)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        with torch.device(device):
            parts: dict[str, Any] = {
                name: network(name, config).to(dtype_of(dtype)) for name, config in configs.items()
            }
    return TextToImage(
        **parts,
        tokenizer=CLIPTokenizer.from_pretrained(tokenizer, model_max_length=LENGTH)
        if tokenizer
        else clip_tokenizer(pad_token),
        alpha_bar=steps.alphas_cumprod,
        prediction_type=steps.config.prediction_type,
        final_alpha_bar=float(steps.final_alpha_cumprod),
        steps_offset=steps.config.steps_offset,
    )


def network(part: str, config: Config) -> nn.Module:
    """One network of a base (unet, vae, text_encoder or image_encoder), untrained."""
    if part in ("unet", "vae"):
        return {"unet": UNet2DConditionModel, "vae": AutoencoderKL}[part].from_config(dict(config))
    if part == "text_encoder":
        return CLIPTextModel(CLIPTextConfig(**config))
    return CLIPVisionModel(CLIPVisionConfig(**config))


def clip_tokenizer(pad_token: str) -> CLIPTokenizer:
    """CLIP's tokenizer, 77 tokens long; `pad_token`: "!" of Stable Diffusion 2, the end token of the first one."""
    origin = getattr(find_spec("open_clip"), "origin", None)
    if origin is None:
        raise FileNotFoundError(
            "CLIP's vocabulary comes with open_clip, which is not installed: install open_clip_torch"
        )
    lines = gzip.decompress(Path(origin).with_name(MERGES).read_bytes()).decode().split("\n")
    letters = _byte_letters()
    merges: Any = [tuple(line.split()) for line in lines[1 : VOCABULARY - 2 * len(letters) - 1]]
    pieces = [*letters, *(f"{letter}</w>" for letter in letters), *map("".join, merges)]
    vocab = {piece: number for number, piece in enumerate([*pieces, "<|startoftext|>", "<|endoftext|>"])}
    return CLIPTokenizer(vocab=vocab, merges=merges, pad_token=pad_token, model_max_length=LENGTH)


def _byte_letters() -> list[str]:
    """The 256 letters that stand for bytes in GPT-2's byte-pair encoding, in the order of CLIP's vocabulary."""
    shown = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    hidden = [byte for byte in range(256) if byte not in shown]
    return [*map(chr, shown), *(chr(256 + number) for number in range(len(hidden)))]
