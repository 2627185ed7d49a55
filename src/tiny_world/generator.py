"""The embedded world's base model, in the parts and formats of a diffusers pipeline folder."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from tokenizers import Tokenizer
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.trainers import BpeTrainer
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from src.data.tiny_captions import WORDS
from src.diffusion import Schedule, add_noise
from src.tiny_world.pictures import Irises, Pictures
from src.tiny_world.training import averaged, fit

TRAINING_PICTURES: dict[str, Any] = {"first": 0, "count": 50_000}
CONTEXT = 32  # tokens: the longest caption has 31
TEXT_WIDTH = 160
IRIS_WEIGHT = 120  # of a pixel that is all iris, where the background has 1


def new_vae() -> AutoencoderKL:
    """f = 4: 64 x 64 x 3 -> 16 x 16 x 4, thin where it is large."""
    return AutoencoderKL(
        down_block_types=["DownEncoderBlock2D"] * 3,
        up_block_types=["UpDecoderBlock2D"] * 3,
        block_out_channels=(16, 48, 96),
        layers_per_block=1,
        norm_num_groups=8,
        latent_channels=4,
        sample_size=64,
    )


def train_vae(cache: Path, *, steps: int, seed: int = 1) -> dict[str, Any]:
    """Reconstruction, heavier on the subject and by far on the irises, and a light KL term for a smooth latent space.

    A picture has some 23 pixels of iris and 2,500 of background: an even loss leaves the colour of irises out.
    """
    pictures = Pictures(cache, **TRAINING_PICTURES)
    irises = Irises(cache, pictures, count=25_000)

    def loss(vae: Any, generator: torch.Generator) -> tuple[Tensor, Mapping[str, Tensor]]:
        index = torch.randint(irises.count, (32,), generator=generator)
        x, iris = pictures.images(index), irises.masks(index)
        weight = 1 + 2 * pictures.masks(index) + IRIS_WEIGHT * iris
        with torch.autocast("cpu", torch.bfloat16):
            posterior = vae.encode(x).latent_dist
            noise = torch.randn(posterior.mean.shape, generator=generator)
            error = vae.decode(posterior.mean + posterior.std * noise).sample.float() - x
        kl = posterior.kl().mean() / posterior.mean[0].numel()
        edges = sum(torch.diff(error, dim=d).abs().mean() for d in (2, 3))
        total = (weight * (error.abs() + 4 * error.square())).mean() + edges + 1e-3 * kl
        psnr = -10 * torch.log10(F.mse_loss(error, torch.zeros_like(error)) / 4)
        off = (iris * error.abs()).sum() / iris.sum() / 3
        return total, {"psnr": psnr.detach(), "kl": kl.detach(), "iris": off.detach()}

    return fit(
        new_vae(),
        loss,
        checkpoint=cache / "vae.pt",
        steps=steps,
        peak_lr=1.5e-3,
        seed=seed,
        ema_decay=0.995,
        weight_decay=0.0,
    )


def load_vae(cache: Path) -> Any:
    return averaged(new_vae(), cache / "vae.pt")


def new_tokenizer() -> CLIPTokenizer:
    """CLIP's byte-pair encoding, learned on the world's words until each of them is one token."""
    trainer = BpeTrainer(
        vocab_size=5000,
        min_frequency=0,
        end_of_word_suffix="</w>",
        initial_alphabet=list("abcdefghijklmnopqrstuvwxyz"),
    )
    learner = Tokenizer(BPE(end_of_word_suffix="</w>"))
    learner.pre_tokenizer = Whitespace()
    learner.train_from_iterator(sorted(WORDS), trainer)
    model = json.loads(learner.to_str())["model"]
    pieces = ["!", *sorted(model["vocab"], key=model["vocab"].get), "<|startoftext|>", "<|endoftext|>"]
    vocab = {piece: number for number, piece in enumerate(dict.fromkeys(pieces))}
    merges: Any = [tuple(pair) for pair in model["merges"]]
    return CLIPTokenizer(vocab=vocab, merges=merges, pad_token="!", model_max_length=CONTEXT)


def kept_tokenizer(cache: Path) -> CLIPTokenizer:
    """The tokenizer that the checkpoints of this cache were trained with."""
    folder = cache / "tokenizer"
    if not folder.exists():
        new_tokenizer().save_pretrained(folder)
    return CLIPTokenizer.from_pretrained(folder)


def new_text_encoder(tokenizer: CLIPTokenizer) -> CLIPTextModel:
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=TEXT_WIDTH,
            intermediate_size=512,
            num_hidden_layers=4,
            num_attention_heads=4,
            max_position_embeddings=CONTEXT,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )


def new_unet() -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=16,
        layers_per_block=1,
        block_out_channels=(64, 96, 160),
        down_block_types=["CrossAttnDownBlock2D"] * 3,
        up_block_types=["CrossAttnUpBlock2D"] * 3,
        cross_attention_dim=TEXT_WIDTH,
        only_cross_attention=[True, False, False],  # 256 places read the text; they see one another further down
        attention_head_dim=(1, 4, 4),  # heads
        norm_num_groups=16,
        use_linear_projection=True,
    )


def new_scheduler() -> DDIMScheduler:
    """Stable Diffusion 2's noise schedule."""
    return DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
    )


class Latents:
    """Posterior mean and standard deviation of every training picture, encoded once."""

    def __init__(self, cache: Path):
        vae = hashlib.sha256((cache / "vae.pt").read_bytes()).hexdigest()[:8]
        path = cache / f"latents-{vae}.npy"  # those of an autoencoder that was trained further are others
        self.pictures = Pictures(cache, **TRAINING_PICTURES)
        if not path.exists():
            _encode_all(load_vae(cache), self.pictures, path)
        self.data = np.load(path, mmap_mode="r")
        self.scale = 1 / float(np.asarray(self.data[:2000, 0], np.float32).std())

    def sample(self, index: Tensor, generator: torch.Generator) -> Tensor:
        """Scaled posterior samples [B, 4, 16, 16]."""
        mean, std = torch.from_numpy(np.asarray(self.data[index.numpy()], np.float32)).unbind(1)
        return self.scale * (mean + std * torch.randn(mean.shape, generator=generator))


@torch.no_grad()
def _encode_all(vae: Any, pictures: Pictures, path: Path) -> None:
    beside = path.with_suffix(".tmp.npy")
    out = np.lib.format.open_memmap(beside, "w+", np.float16, (pictures.count, 2, 4, 16, 16))
    for start in range(0, pictures.count, 100):
        index = torch.arange(start, min(start + 100, pictures.count))
        with torch.autocast("cpu", torch.bfloat16):
            posterior = vae.encode(pictures.images(index)).latent_dist
        out[start : start + len(index)] = torch.stack([posterior.mean, posterior.std], 1).float().numpy()
    out.flush()
    os.replace(beside, path)


def shown_states(text: Tensor, ids: Tensor, end_id: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """What the U-Net may read: text states [B, L, D] and which of them it sees, bool [B, L].

    Half of the captions show their words alone, an eighth their words and the end token, the rest everything; end token
    and pads are another caption's, and therefore say nothing that can be trusted. A U-Net that lives on them does not
    read words where they stand (gate 4 of the world).
    """
    draw = torch.rand(len(ids), 1, generator=generator)
    end = (ids == end_id).int().argmax(1, keepdim=True)
    position = torch.arange(ids.shape[1])
    mask = (position < end) | ((draw > 1 / 2) & (position == end)) | (draw > 5 / 8)
    foreign = position >= end
    return torch.where(foreign[..., None], text.roll(1, 0), text), mask


def loss_weights(alpha_bar: Tensor) -> Tensor:
    """Weights of the noise loss [T]: Min-SNR (gamma = 5; Hang et al. 2023) where there is little noise; up to eight
    where there is much, since what a caption decides, place and style, is hardly seen in the plain loss there."""
    snr = (alpha_bar / (1 - alpha_bar)).float()
    return snr.clamp(max=5) / snr * (1 + 1 / snr).clamp(max=8)


def train_base(cache: Path, *, steps: int, seed: int = 2) -> dict[str, Any]:
    """U-Net and text encoder together on captioned pictures; weighted noise loss, 10 % empty captions."""
    latents, tokenizer = Latents(cache), kept_tokenizer(cache)
    net = nn.ModuleDict({"unet": new_unet(), "text_encoder": new_text_encoder(tokenizer)})
    schedule = Schedule.ddim(50)
    weights = loss_weights(schedule.alpha_bar)

    def loss(net: Any, generator: torch.Generator) -> tuple[Tensor, Mapping[str, Tensor]]:
        index = torch.randint(latents.pictures.count, (64,), generator=generator)
        captions = latents.pictures.captions(index, int(torch.randint(2**31, (1,), generator=generator)))
        empty = torch.rand(len(captions), generator=generator) < 0.1
        words = ["" if e else c for e, c in zip(empty, captions, strict=True)]
        ids = tokenizer(words, padding="max_length", truncation=True, return_tensors="pt").input_ids
        x_0 = latents.sample(index, generator)
        eps = torch.randn(x_0.shape, generator=generator)
        t = torch.randint(1000, (len(index),), generator=generator)
        x_t = add_noise(x_0, eps, t, schedule)
        # the mathematical attention: the fused one's backward pass is slow on CPUs
        with torch.autocast("cpu", torch.bfloat16), sdpa_kernel(SDPBackend.MATH):
            states = net["text_encoder"](ids).last_hidden_state
            text, mask = shown_states(states, ids, tokenizer.eos_token_id, generator)
            error = net["unet"](x_t, t, text, encoder_attention_mask=mask).sample.float() - eps
        each = error.square().mean((1, 2, 3))
        thirds = {f"third_{k}": each[(t * 3) // 1000 == k].mean().detach() for k in range(3)}
        return (each * weights[t]).mean(), thirds

    return fit(
        net,
        loss,
        checkpoint=cache / "base.pt",
        steps=steps,
        peak_lr=8e-4,
        seed=seed,
        ema_decay=0.999,
        decay_from=0.5,
    )
