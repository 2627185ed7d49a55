"""How fast and how large a training step is: `python -m src.bench train`."""

from typing import Any

import torch
from omegaconf import DictConfig

from src.benchmarks.scale import encoded_items
from src.benchmarks.step import measure
from src.harness.build import build, count
from src.harness.device import begun, device_of, laid_out, moved
from src.harness.preflight.needs import check, needs_of, show

MOST = 1.15  # the ratio that a training with a cache should not pass


def run(cfg: DictConfig) -> None:
    begun(cfg)
    if cfg.preflight_only:
        return show(cfg, needs_of(cfg, "train"))
    check(cfg, needs_of(cfg, "train"))
    print(report(cfg, measured(cfg)), flush=True)


def measured(cfg: DictConfig) -> dict[str, Any]:
    """The numbers of a training step of this configuration on one device."""
    device = device_of(cfg.trainer.accelerator)
    base, data = moved(build(cfg.base), device), build(cfg.data)
    items = [data.train[index] for index in range(min(cfg.data.batch, cfg.data.total_batch, len(data.train)))]
    if cfg.cache and "image" in items[0]:
        items = encoded_items(base, torch.stack([item["image"] for item in items]).to(device))

    def module() -> Any:
        promptnet = build(cfg.learning.net)(
            base.unet,
            vision_width=base.image_encoder.config.hidden_size,
            text_width=base.text_encoder.config.hidden_size,
        )
        return build(cfg.learning)(base=base, net=laid_out(promptnet, device))

    return measure(
        module,
        items,
        steps=count(cfg, "steps"),
        precision=cfg.trainer.precision,
        ema=cfg.trainer.ema,
        accelerator=str(device),
        gradient_clip=cfg.trainer.gradient_clip,
    )


def report(cfg: DictConfig, found: dict[str, Any]) -> str:
    """A few lines to read."""
    batch = f"batch {min(cfg.data.batch, cfg.data.total_batch)}, {'with' if cfg.cache else 'without'} latent cache"
    return "\n".join(
        [
            f"world {cfg.world.name}, {batch}, {cfg.trainer.precision}",
            f"{found['images_per_second']:.2f} images/s, {found['step_seconds']:.3f} s a step",
            *(f"  {part:<22}{share:6.1%} of the bare step" for part, share in found["shares"].items()),
            f"peak memory {found['peak_gib']:.2f} GiB",
            f"training step / bare forward and backward: {found['ratio']:.3f}"
            f" ({found['step_seconds']:.3f} s / {found['bare_seconds']:.3f} s; with a cache at most {MOST} is wanted)",
        ]
    )
