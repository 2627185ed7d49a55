"""Pre-train PromptNet on photos alone: `python -m src.train +experiment=tiny_pretrain`."""

from collections.abc import Callable
from typing import Any

import torch
from omegaconf import DictConfig

from src.entry import PACKAGE, build, check_needs, command, plain, portable
from src.learning.finetune import Tuned
from src.methods.profusion import Personal, Sampler
from src.results.digests import code_digest, digest
from src.results.grids import image_grid
from src.results.runs import Run, open_run
from src.results.store import save_png, to_picture
from src.studies import LEARNING, check_logger, weights_of


@command("train")
def main(cfg: DictConfig) -> None:
    run = trained_promptnet(cfg)
    print(f"validation: {run.summary()['validation']}\nPromptNet: {run.path('promptnet')}", flush=True)


def trained_promptnet(cfg: DictConfig) -> Run:
    """The finished run of this configuration: stored, continued, or made now."""
    check_needs(cfg, "train")
    check_logger(cfg)
    settings = portable(plain(cfg))
    own = {name: settings[name] for name in ("base", "promptnet", "learning", "data", "seed")}
    own["trainer"] = {name: cfg.trainer[name] for name in ("steps", "gradient_clip", "precision", "devices")}
    key = digest(own, weights=weights_of(cfg, "base", "promptnet"), code=code_digest(PACKAGE, LEARNING))
    print(cfg.world.notice, flush=True)
    about: dict[str, Any] = {"group": f"{cfg.world.name}-pretrain", "tags": [cfg.world.name, "pretrain"]}
    with open_run(cfg.runs, "train", settings, key, logger=plain(cfg.logger), **about) as run:
        if not run.complete:
            pretrain(cfg, run)
    return run


def pretrain(cfg: DictConfig, run: Run) -> None:
    base = build(cfg.base)
    torch.manual_seed(cfg.seed)
    promptnet = build(cfg.promptnet)(
        base.unet,
        vision_width=base.image_encoder.config.hidden_size,
        text_width=base.text_encoder.config.hidden_size,
    )
    module = build(cfg.learning)(base=base, promptnet=promptnet, seed=cfg.seed)
    data = build(cfg.data)
    validation = build(cfg.trainer)(
        module,
        data,
        folder=run.folder,
        log=run.log,
        show=preview(cfg, run, base, promptnet, data),
        resume=cfg.resume,
    )
    promptnet.save(run.path("promptnet"))
    run.keep("checkpoint", run.path("promptnet"))
    run.finish({"validation": validation, "steps": cfg.trainer.steps})


def preview(cfg: DictConfig, run: Run, base, promptnet, data) -> Callable[[int], None]:
    """Saves what PromptNet makes of the first validation photos: photo, then "a photo of S*" with two seeds."""
    photos = torch.stack([data.validation[index] for index in range(6)])
    sampler: Sampler = build(cfg.preview)

    def show(step: int) -> None:
        rows = []
        for photo in photos.to(next(promptnet.parameters()).device):
            person = Personal(Tuned(base, promptnet), photo[None], sampler, None)
            rows.append([to_picture(x.cpu()) for x in (photo, *person(cfg.learning.prompt, [0, 1]))])
        save_png(run.path(f"images/step-{step:07d}.png"), image_grid(rows), {"step": step})

    return show


if __name__ == "__main__":
    main()
