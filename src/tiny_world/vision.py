"""The base's CLIP image encoder: PromptNet's eye.

Identity is in no caption, so a purely contrastive encoder throws it away: this one also paints hidden patches, and the
painter and the text tower are dropped after training.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import CLIPVisionConfig, CLIPVisionModel

from src.tiny_world.generator import TEXT_WIDTH, TRAINING_PICTURES, kept_tokenizer, new_text_encoder
from src.tiny_world.pictures import Pictures
from src.tiny_world.training.loop import Budget, averaged, fit, mixed

_PATCH, _WIDTH, _BATCH = 8, 128, 64
# CLIP's normalisation, applied by whoever calls the encoder
_MEAN = torch.tensor([0.48145466, 0.4578275, 0.40821073]).view(3, 1, 1)
_STD = torch.tensor([0.26862954, 0.26130258, 0.27577711]).view(3, 1, 1)


def new_image_encoder() -> CLIPVisionModel:
    return CLIPVisionModel(
        CLIPVisionConfig(
            hidden_size=_WIDTH,
            intermediate_size=3 * _WIDTH,
            num_hidden_layers=4,
            num_attention_heads=4,
            image_size=64,
            patch_size=_PATCH,
        )
    )


def _patches(image: Tensor) -> Tensor:
    """[B, 3, 64, 64] -> [B, 64, 192]."""
    return F.unfold(image, _PATCH, stride=_PATCH).transpose(1, 2)


def train_vision(cache: Path, *, budget: Budget, device: torch.device, seed: int = 3) -> dict[str, Any]:
    """Contrastive loss against captions, and the mean squared error of repainting hidden patches."""
    pictures, tokenizer = Pictures(cache, **TRAINING_PICTURES), kept_tokenizer(cache)
    net = nn.ModuleDict(
        {
            "image_encoder": new_image_encoder(),
            "text_tower": new_text_encoder(tokenizer),
            "image_head": nn.Linear(_WIDTH, 96, bias=False),
            "text_head": nn.Linear(TEXT_WIDTH, 96, bias=False),
            "painter": nn.Sequential(nn.Linear(_WIDTH, 256), nn.GELU(), nn.Linear(256, 3 * _PATCH**2)),
        }
    )

    def loss(net: Any, generator: torch.Generator) -> tuple[Tensor, Mapping[str, Tensor]]:
        index = torch.randint(pictures.count, (_BATCH,), generator=generator)
        image = pictures.images(index)
        captions = pictures.captions(index, int(torch.randint(2**31, (1,), generator=generator)))
        words = tokenizer(captions, padding="max_length", truncation=True, return_tensors="pt").input_ids.to(device)
        hidden = (
            torch.rand(_BATCH, 1, 8, 8, generator=generator)
            < 0.4 * torch.rand(_BATCH, 1, 1, 1, generator=generator) * 2
        )
        shown = image * ~hidden.repeat_interleave(_PATCH, 2).repeat_interleave(_PATCH, 3)
        pixels, image = (((shown + 1) / 2 - _MEAN) / _STD).to(device), image.to(device)
        with mixed(device):
            seen = net["image_encoder"](pixels)
            painted = net["painter"](seen.last_hidden_state[:, 1:]).float()
            said = net["text_tower"](words).pooler_output
            image_side, text_side = net["image_head"](seen.pooler_output), net["text_head"](said)
        error = (painted - _patches(image)).square().mean(2)
        image_side, text_side = (F.normalize(side.float(), dim=1) for side in (image_side, text_side))
        logits, target = 16 * image_side @ text_side.T, torch.arange(_BATCH, device=device)
        contrast = (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2
        hits = (logits.argmax(1) == target).float().mean()
        paint = error.mean()
        return contrast + 8 * paint, {"contrast": contrast.detach(), "paint": paint.detach(), "top1": hits}

    return fit(net, loss, checkpoint=cache / "vision.pt", budget=budget, device=device, peak_lr=1e-3, seed=seed)


def load_image_encoder(cache: Path) -> CLIPVisionModel:
    """The trained encoder without the parts that only its training needed."""
    encoder = new_image_encoder()
    averaged(nn.ModuleDict({"image_encoder": encoder}), cache / "vision.pt", only="image_encoder.")
    return encoder
