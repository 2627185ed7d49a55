"""The face-presence net of the embedded world: so that "no face" can happen to an image, and is counted."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from src.tiny_world.judges.corruption import corrupt
from src.tiny_world.judges.identity import TRAINING_PICTURES, ConvRecogniser, fitted, write_onnx
from src.tiny_world.photos import masks, pictures
from src.tiny_world.renderer.people import SPLITS
from src.tiny_world.renderer.scenes import scene_for
from src.tiny_world.training.checkpoints import averaged
from src.tiny_world.training.loop import Budget, Descent, fit
from src.tiny_world.training.pictures import Pictures

BATCH = 64  # faces, and as many non-faces
NAME = "presence"


def new_presence_net() -> nn.Sequential:
    """[B, 3, 112, 112] in [-1, 1] -> logits [B, 1]."""
    return nn.Sequential(ConvRecogniser(out=16, width=12), nn.ReLU(), nn.Linear(16, 1))


def _low(images: Tensor, cells: int) -> Tensor:
    """The images with nothing left but `cells` x `cells` colours."""
    return F.interpolate(F.adaptive_avg_pool2d(images, cells), images.shape[-2:], mode="bilinear", align_corners=False)


def _cut_away(images: Tensor, masks: Tensor, generator: torch.Generator) -> Tensor:
    colour = 2 * torch.rand(len(images), 3, 1, 1, generator=generator) - 1
    return torch.lerp(images, colour.expand_as(images), masks)


def _blurred_subject(images: Tensor, masks: Tensor, generator: torch.Generator) -> Tensor:
    return torch.lerp(images, _low(images, 5), masks)


def _no_features(images: Tensor, masks: Tensor, generator: torch.Generator) -> Tensor:
    """Eyes, nose and mouth smeared out, the outline of the head kept."""
    across = torch.linspace(-32, 32, images.shape[-1])
    middle = 6 * torch.rand(len(images), 2, generator=generator) - 3
    x, y = across.view(1, 1, -1) - middle[:, :1, None], across.view(1, -1, 1) - middle[:, 1:, None]
    inside = ((x / 14).square() + (y / 15).square() < 1)[:, None].float()
    return torch.lerp(images, _low(images, 4), inside)


def _shuffled(images: Tensor, masks: Tensor, generator: torch.Generator) -> Tensor:
    side = 8 * int(torch.randint(1, 3, (), generator=generator))
    patches = F.unfold(images, side, stride=side)
    order = torch.rand(len(images), 1, patches.shape[2], generator=generator).argsort(-1).expand_as(patches)
    return F.fold(patches.gather(2, order), images.shape[-2:], side, stride=side)


def _noise(images: Tensor, masks: Tensor, generator: torch.Generator) -> Tensor:
    cells = (4, 8, 16, 64)[int(torch.randint(4, (), generator=generator))]
    coarse = torch.randn(len(images), 3, cells, cells, generator=generator)
    return F.interpolate(coarse, images.shape[-2:], mode="bilinear", align_corners=False).clamp(-1, 1)


def _drowned(images: Tensor, masks: Tensor, generator: torch.Generator) -> Tensor:
    return (0.35 * images + 0.8 * torch.randn(images.shape, generator=generator)).clamp(-1, 1)


def _too_near(images: Tensor, masks: Tensor, generator: torch.Generator) -> Tensor:
    side, size = 20, images.shape[-1]
    left, top = torch.randint(size - side, (2,), generator=generator).tolist()
    crop = images[..., top : top + side, left : left + side]
    return F.interpolate(crop, (size, size), mode="bilinear", align_corners=False)


def _too_far(images: Tensor, masks: Tensor, generator: torch.Generator) -> Tensor:
    side, size = 20, images.shape[-1]
    left, top = torch.randint(size - side, (2,), generator=generator).tolist()
    out = _cut_away(images, masks, generator)
    out[..., top : top + side, left : left + side] = F.interpolate(images, (side, side), mode="area")
    return out


KINDS: tuple[Callable[[Tensor, Tensor, torch.Generator], Tensor], ...] = (
    _cut_away,
    _blurred_subject,
    _no_features,
    _shuffled,
    _noise,
    _drowned,
    _too_near,
    _too_far,
)


def ruined(images: Tensor, masks: Tensor, generator: torch.Generator) -> Tensor:
    """images [B, 3, H, W] in [-1, 1], subject masks [B, 1, H, W] -> B pictures without a face, the kinds in turn."""
    kinds = len(KINDS)
    return torch.cat(
        [kind(images[i::kinds], masks[i::kinds], generator) for i, kind in enumerate(KINDS) if len(images) > i]
    )


def backgrounds(people: range) -> Tensor:
    """The training scene of each seed with nobody in it, [len(people), 3, 64, 64]."""
    return pictures((person, replace(scene_for(person), x=1000.0)) for person in people)


def pictures_and_masks(people: range) -> tuple[Tensor, Tensor]:
    """The training scene of each seed, [B, 3, 64, 64] in [-1, 1], and its subject masks [B, 1, 64, 64] in [0, 1]."""
    shown = [(person, scene_for(person)) for person in people]
    return pictures(shown), masks(shown)


def train_presence_judge(cache: Path, *, budget: Budget, device: torch.device, seed: int = 1) -> dict[str, Any]:
    """Tell pictures of judge-training people from pictures without a face; resumes from `cache`/presence.pt."""
    kept, empty = Pictures(cache, **TRAINING_PICTURES), backgrounds(SPLITS["judges"][50_000:51_000])

    def loss(net: nn.Module, generator: torch.Generator) -> tuple[Tensor, Mapping[str, Tensor]]:
        index = torch.randint(kept.count, (2 * BATCH,), generator=generator)
        images, masks = kept.images(index), kept.masks(index[BATCH:])
        nobody = empty[torch.randint(len(empty), (BATCH // 8,), generator=generator)]
        x = torch.cat([images[:BATCH], ruined(images[BATCH:], masks, generator), nobody])
        truth = (torch.arange(len(x), device=device) < BATCH).float()
        logit = net(fitted(corrupt(x, generator).to(device)))[:, 0]
        right = ((logit > 0) == (truth > 0)).float().mean()
        return F.binary_cross_entropy_with_logits(logit, truth), {"right": right}

    torch.manual_seed(seed)
    net = new_presence_net()
    descent = Descent(2e-3, ema_decay=0.99)
    run = fit(net, loss, checkpoint=cache / f"{NAME}.pt", budget=budget, descent=descent, device=device, seed=seed)
    return run | {"parameters": sum(p.numel() for p in net.parameters())}


@torch.no_grad()
def export_presence_judge(cache: Path, path: Path) -> dict[str, float]:
    """Write the net as ONNX, its threshold moved to 0: half-way, on calibration people, between the logit that 1 % of
    the worn faces stay below and the one that 1 % of the worn non-faces exceed."""
    net = new_presence_net()
    averaged(net, cache / f"{NAME}.pt")
    images, masks = pictures_and_masks(SPLITS["calibration"][:400])
    generator = torch.Generator().manual_seed(0)
    empty = torch.cat([ruined(images, masks, generator), backgrounds(SPLITS["calibration"][400:450])])
    faces, others = (net(fitted(corrupt(x, generator)))[:, 0] for x in (images, empty))
    low, high = float(faces.quantile(0.01)), float(others.quantile(0.99))
    last = net[-1]
    assert isinstance(last, nn.Linear)
    last.bias.sub_((low + high) / 2)
    write_onnx(net, path)
    return {"face_logit_1_percent": low, "non_face_logit_99_percent": high}
