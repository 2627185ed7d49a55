"""Pre-training, as commands share it: its run, its key, what is seen of it, and PromptNet's regularised versions."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig

from src.data.latents import LatentCache, write_latents
from src.files.folders import sizes_digest
from src.harness.assembly import method_class, weights_of
from src.harness.build import build, plain
from src.harness.compose import compose
from src.harness.deciding import TRAINING, code_of, deciding, portable
from src.harness.device import check_dtype, described, device_of, handed_on, laid_out, memory_for
from src.harness.preflight.training import check_training
from src.learning.pretrain import encode_photos
from src.learning.trainer import is_follower
from src.methods.method import Method
from src.models.base import TextToImage
from src.models.digest import encoders_digest
from src.reports.grids import image_grid
from src.runs.digests import digest
from src.runs.run import Run, open_run, run_folder
from src.runs.store import save_png, to_picture

# what to do about memory; neither changes what is learned
TO_TRAIN = "set learning.gradient_checkpointing=true, or a lower data.batch"
COMPUTED = {"bf16-mixed": "bfloat16", "64-true": "float64"}  # in what, by trainer.precision
# what regularisation continues; in float32, which every processor computes at speed
ORDERS = ["+experiment=tiny_pretrain", "preview=null", "trainer.precision=32-true"]


def name_of(cfg: DictConfig) -> str:
    """The class of the network that is trained, PromptNet or E4T; in small letters, its folder in the run."""
    return str(cfg.learning.net["_target_"]).split(".")[-2]


def trained(cfg: DictConfig) -> Run:
    """The finished run of this configuration: stored, continued, or made now."""
    check_training(cfg)
    computed = COMPUTED.get(cfg.trainer.precision, "float32")  # an unknown one is refused by the trainer
    check_dtype(device_of(cfg.trainer.accelerator), computed, "trainer.precision", instead="32-true")
    settings, key = portable(plain(cfg)), key_of(cfg)
    if is_follower():  # the first process of this training holds the run; the others only learn
        run = Run(run_folder(cfg.runs, "train", key))
        if not run.complete:
            pretrain(cfg, run, key)
        return run
    about: dict[str, Any] = {"group": f"{cfg.world.name}-pretrain", "tags": [cfg.world.name, "pretrain"]}
    about["device"] = described(device_of(cfg.trainer.accelerator))
    with open_run(cfg.runs, "train", settings, key, logger=plain(cfg.logger), **about) as run:
        if not run.complete:
            net, validation = pretrain(cfg, run, key)
            folder = run.path(name_of(cfg).lower())
            net.save(folder)
            run.keep("checkpoint", folder)
            run.finish({"validation": validation, "steps": cfg.trainer.steps})
    return run


def key_of(cfg: DictConfig) -> str:
    """The digest of the training, and of what its validation says. Devices change no result, but for rounding.

    Photos are known by their paths and sizes: to read all of them would take longer than to begin.
    """
    settings = portable(plain(cfg))
    decides = {name: deciding(settings[name]) for name in ("base", "learning", "data", "seed")}
    decides["data"] = {name: value for name, value in decides["data"].items() if name not in ("batch", "workers")}
    folders = {
        part: decides["data"][part].get("folder") for part in ("train", "validation") if decides["data"].get(part)
    }
    places = {part: Path(folder).expanduser() for part, folder in folders.items() if folder}
    decides["photos"] = {part: sizes_digest(path) for part, path in places.items() if path.is_dir()}
    trainer = ("steps", "gradient_clip", "precision", "ema", "validation_batches")
    decides["trainer"] = {name: cfg.trainer[name] for name in trainer}
    decides["trainer"] |= {"minutes": cfg.trainer.minutes} if cfg.trainer.minutes else {}
    decides |= {"tf32": True} if cfg.tf32 else {}
    return digest(decides, weights=weights_of(cfg, "base", "learning"), code=code_of(TRAINING, decides["learning"]))


def pretrain(cfg: DictConfig, run: Run, key: str):
    """(the network, validation), after the last step."""
    device = device_of(cfg.trainer.accelerator)  # where the trainer puts both
    base = laid_out(build(cfg.base), device)
    torch.manual_seed(cfg.seed)
    net = build(cfg.learning.net)(
        base.unet,
        vision_width=base.image_encoder.config.hidden_size,
        text_width=base.text_encoder.config.hidden_size,
    )
    net, data = laid_out(net, device), build(cfg.data)
    if isinstance(data.train, LatentCache):
        data.train.check(encoders_digest(base))
    with memory_for("pre-training", TO_TRAIN, device):
        validation = build(cfg.trainer, accelerator=str(device))(
            build(cfg.learning)(base=base, net=net, seed=cfg.seed),
            data,
            folder=run.folder,
            experiment=key,
            log=run.log,
            show=preview(cfg, run, base, net, data),
            resume=cfg.resume,
            seed=cfg.seed,
        )
    return net, validation


def preview(cfg: DictConfig, run: Run, base, net, data) -> Callable[[int], None]:
    """Saves what the method draws with this network: validation photos, each with "a photo of S*" from two seeds."""
    if cfg.preview is None:
        return lambda step: None
    items = [data.validation[index] for index in range(min(6, len(data.validation)))]
    if not all("image" in item for item in items):
        raise ValueError("a preview needs photos, and data.validation holds their encodings alone: set preview=null")
    photos = [item["image"] for item in items]
    drawing, name = method_class(cfg), name_of(cfg).lower()
    if name not in drawing.trained:
        raise ValueError(
            f"a preview is drawn by a method with {name}, and method has none: choose one, or preview=null"
        )
    parts = {name: net, "sampler": build(cfg.preview)}
    method: Method = drawing(**parts)  # without fine-tuning

    def show(step: int) -> None:
        rows = []
        for photo in photos:
            person = method.learn(base, photo[None].to(base.device))
            rows.append([to_picture(x.cpu()) for x in (photo, *person(cfg.learning.prompt, [0, 1]))])
        save_png(run.path(f"images/step-{step:07d}.png"), image_grid(rows), {"step": step})

    return show


def check_penalties(penalties: Any) -> None:
    """Before anything is trained: ValueError if there is none, or one that is no number of 0 or more."""
    listed = isinstance(penalties, list) and len(penalties) > 0
    if not listed or not all(isinstance(each, int | float) and 0 <= each < math.inf for each in penalties):
        raise ValueError(f"penalties ({penalties}) must be a list of one or more lambdas of 0 or more, such as [0,0.1]")


def regularised(cfg: DictConfig, penalty: float) -> list[Run]:
    """The run of the early checkpoint that all penalties have in common, unless it is the world's own PromptNet, and
    the run that goes on under this penalty."""
    check_penalties([penalty])
    early = [] if cfg.early_steps is None else [continued(cfg, steps=cfg.early_steps)]
    folder = (
        early[0].path("promptnet") if early else Path(compose("train", [*ORDERS, "promptnet=tiny"]).promptnet.folder)
    )
    start = ["promptnet=continued", f"promptnet.folder={folder}"]
    return [*early, continued(cfg, f"learning.penalty={penalty}", *start, steps=cfg.further_steps)]


def continued(cfg: DictConfig, *overrides: str, steps: int) -> Run:
    """The run that trains PromptNet for some steps, from nothing or from where another one ended."""
    changes = [
        f"trainer.steps={steps}",
        f"runs={cfg.runs}",
        "logger=disabled",
        *handed_on(cfg, ("device", "tf32")),
        *overrides,
    ]
    return trained(compose("train", [*ORDERS, *changes]))


def encode(base: TextToImage, photos, folder: Path, batch: int) -> None:
    """Latents and vision tokens of all photos, by the encoders of this base."""
    write_latents(
        photos,
        lambda images: encode_photos(base, images.to(base.device)),
        folder,
        encoders=encoders_digest(base),
        vision_dtype=base.image_encoder.dtype,
        batch=batch,
    )
