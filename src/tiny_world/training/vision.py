"""Training of the base's CLIP image encoder: PromptNet's eye.

Identity is in no caption, so a purely contrastive encoder throws it away: this one also paints hidden patches, and the
painter and the text tower are dropped after training.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from src.tiny_world.generator import PATCH, TEXT_WIDTH, VISION_WIDTH, new_image_encoder, new_text_encoder
from src.tiny_world.training.checkpoints import kept_tokenizer
from src.tiny_world.training.loop import Budget, Descent, fit, mixed
from src.tiny_world.training.pictures import TRAINING_PICTURES, Pictures

BATCH = 64
# CLIP's normalisation
_MEAN = torch.tensor([0.48145466, 0.4578275, 0.40821073]).view(3, 1, 1)
_STD = torch.tensor([0.26862954, 0.26130258, 0.27577711]).view(3, 1, 1)


def _patches(image: Tensor) -> Tensor:
    """[B, 3, 64, 64] -> [B, 64, 192]."""
    return F.unfold(image, PATCH, stride=PATCH).transpose(1, 2)


def train_vision(cache: Path, *, budget: Budget, device: torch.device, seed: int = 3) -> dict[str, Any]:
    """Contrastive loss against captions, and the mean squared error of repainting hidden patches."""
    pictures, tokenizer = Pictures(cache, **TRAINING_PICTURES), kept_tokenizer(cache)
    net = nn.ModuleDict(
        {
            "image_encoder": new_image_encoder(),
            "text_tower": new_text_encoder(tokenizer),
            "image_head": nn.Linear(VISION_WIDTH, 96, bias=False),
            "text_head": nn.Linear(TEXT_WIDTH, 96, bias=False),
            "painter": nn.Sequential(nn.Linear(VISION_WIDTH, 256), nn.GELU(), nn.Linear(256, 3 * PATCH**2)),
        }
    )

    def loss(net: Any, generator: torch.Generator) -> tuple[Tensor, Mapping[str, Tensor]]:
        index = torch.randint(pictures.count, (BATCH,), generator=generator)
        image = pictures.images(index)
        captions = pictures.captions(index, int(torch.randint(2**31, (1,), generator=generator)))
        words = tokenizer(captions, padding="max_length", truncation=True, return_tensors="pt").input_ids.to(device)
        patches, share = (torch.rand(BATCH, 1, side, side, generator=generator) for side in (8, 1))
        hidden = patches < 0.4 * share * 2
        shown = image * ~hidden.repeat_interleave(PATCH, 2).repeat_interleave(PATCH, 3)
        pixels, image = (((shown + 1) / 2 - _MEAN) / _STD).to(device), image.to(device)
        with mixed(device):
            seen = net["image_encoder"](pixels)
            painted = net["painter"](seen.last_hidden_state[:, 1:]).float()
            image_side = net["image_head"](seen.pooler_output)
            text_side = net["text_head"](net["text_tower"](words).pooler_output)
        error = (painted - _patches(image)).square().mean(2)
        image_side, text_side = (F.normalize(side.float(), dim=1) for side in (image_side, text_side))
        logits, target = 16 * image_side @ text_side.T, torch.arange(BATCH, device=device)
        contrast = (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2
        hits = (logits.argmax(1) == target).float().mean()
        paint = error.mean()
        return contrast + 8 * paint, {"contrast": contrast.detach(), "paint": paint.detach(), "top1": hits}

    how: dict[str, Any] = {"budget": budget, "descent": Descent(1e-3), "device": device, "seed": seed}
    return fit(net, loss, checkpoint=cache / "vision.pt", **how)
