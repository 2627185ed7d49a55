"""What a command needs, each found or missing with its remedy, before any model is loaded."""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf
from torch import nn

from src.data.datamodule import shared_batch
from src.harness.assembly import method_class
from src.harness.build import build, plain
from src.harness.device import GIB, device_of, memory
from src.learning.trainer import is_follower
from src.models.base import dtype_of
from src.models.sources import lacking, shell

# activations of one photo in units of its first feature map in float32: without gradient checkpointing guessed, with
# it measured at Stable Diffusion 2's size (2 GiB), and rounded up
ACTIVATIONS = {False: 2400, True: 500}

MASKS = {
    "detector": "download insightface's buffalo_l pack, or set world.augmentation.mask.detector=FILE",
    "folder": "draw masks, white on the subject, as FOLDER/PERSON.png, and set world.augmentation.mask.folder=FOLDER",
}


@dataclass(frozen=True)
class Need:
    """One line of the table; `remedy` is empty where it is found."""

    what: str
    detail: str
    remedy: str = ""


def needs_of(cfg: DictConfig, command: str) -> list[Need]:
    """The base's weights, and what the world lists for this command."""
    found = [_weights(cfg), *_inpainting(cfg), *_masks(cfg)]
    for need in plain(cfg.world.needs):
        if command in need["commands"] and _used(cfg, need.get("network")):
            here = Path(need["place"]).exists()
            found.append(Need(need["what"], need["place"], "" if here else need["remedy"]))
    return found


def _used(cfg: DictConfig, network: str | None) -> bool:
    """Whether the method, if the command has one, is built on this trained network; None: on whatever method."""
    return network is None or "method" not in cfg or network in method_class(cfg).trained


def check(cfg: DictConfig, needs: Sequence[Need]) -> None:
    """Raise FileNotFoundError, listing everything that is missing and its remedy, and the embedded alternative."""
    missing = [need for need in needs if need.remedy]
    if missing:
        lines = "; ".join(f"{need.what} ({need.detail}): {need.remedy}" for need in missing)
        raise FileNotFoundError(f"world {cfg.world.name} lacks {len(missing)}: {lines}; {cfg.world.alternative}")


def check_needs(cfg: DictConfig, command: str) -> None:
    """`check` over `needs_of`: stops a command before anything is loaded."""
    check(cfg, needs_of(cfg, command))


def show_needs(cfg: DictConfig, command: str) -> None:
    """The table of what a command needs, and `check`."""
    needs = needs_of(cfg, command)
    print(f"{cfg.world.notice}\n{table(needs)}", flush=True)
    check(cfg, needs)


def training_needs(cfg: DictConfig) -> list[Need]:
    """Everything that a training needs."""
    weights, *others = needs_of(cfg, "train")
    photos = [] if any(need.remedy for need in others) else [_tried("photos", lambda: _photos(cfg))]
    batch = _tried("total batch", lambda: _total_batch(cfg))
    return [weights, *others, *photos, batch, _devices(cfg), *_sizes(cfg), Need("Weights & Biases", _mirror(cfg))]


def show(cfg: DictConfig) -> None:
    """Print the table of what a training needs, in its first process, and `check` it."""
    needs = training_needs(cfg)
    if not is_follower():
        print(f"{cfg.world.notice}\n{table(needs)}", flush=True)
    check(cfg, needs)


def table(needs: Sequence[Need]) -> str:
    """One line for each, the remedy below what is missing."""
    width = max(len(need.what) for need in needs)
    lines = []
    for need in needs:
        lines.append(f"{'MISSING' if need.remedy else 'found':<8}{need.what:<{width + 2}}{need.detail}")
        lines += [f"{'':<{width + 10}}-> {need.remedy}"] if need.remedy else []
    return "\n".join(lines)


def _tried(what: str, look: Callable[[], str]) -> Need:
    """Errors that name their remedy are the remedy."""
    try:
        return Need(what, look())
    except (ValueError, OSError) as error:
        return Need(what, "not usable", " ".join(str(error).split()))


def _weights(cfg: DictConfig) -> Need:
    source = plain(cfg.base)
    place = " + ".join(str(source[name]) for name in ("folder_or_hub_id", "image_encoder") if source.get(name))
    faults = lacking(source)
    if not faults:
        return Need("base weights", place if "folder_or_hub_id" in source else "random, of the configured architecture")
    listed = "; ".join(f"{part}: {fault}" for part, fault in faults.items())
    return Need("base weights", listed, " and ".join(dict.fromkeys(_remedy(source, part) for part in faults)))


def _inpainting(cfg: DictConfig) -> list[Need]:
    """The weights that repaint photos, where augmentation is asked for and has weights of its own."""
    places = [each.inpainter.folder_or_hub_id for each in _asked(cfg) if "folder_or_hub_id" in each.inpainter]
    return [_inpainter(place) for place in places[:1]]


def _masks(cfg: DictConfig) -> list[Need]:
    """The detector or the drawn masks that augmentation looks for its subject with."""
    found = []
    for each in _asked(cfg)[:1]:
        for name, remedy in MASKS.items():
            place = each.mask.get(name)
            if place is not None:
                found.append(Need(f"the mask's {name}", str(place), "" if Path(place).exists() else remedy))
    return found


def _asked(cfg: DictConfig) -> list[DictConfig]:
    """The augmentations of this command. ValueError for a setting that is none."""
    asked = [OmegaConf.select(cfg, name) for name in ("augmentation", "ablation.change.augmentation")]
    for each in asked:
        if each is not None and not isinstance(each, DictConfig):
            raise ValueError(f"augmentation ({each}) must be null or '${{world.augmentation}}'")
    return [each for each in asked if each]


def _inpainter(place: str) -> Need:
    faults = {part: fault for part, fault in lacking({"folder_or_hub_id": place}).items() if part != "image_encoder"}
    remedy = f"run `hf download {place}`, or set world.augmentation.inpainter.folder_or_hub_id=FOLDER"
    return Need("inpainting weights", place, remedy if faults else "")


def _remedy(source: dict[str, Any], part: str) -> str:
    setting = "image_encoder" if part == "image_encoder" and source.get("image_encoder") else "folder_or_hub_id"
    place = str(source[setting])
    if place.count("/") == 1 and not Path(place).exists():
        return f"run `hf download {place}`, or set base.{setting}=FOLDER"
    return f"restore {place}, or set base.{setting}=FOLDER"


def _photos(cfg: DictConfig) -> str:
    data = build(cfg.data)
    return f"{len(data.train):,} for training, {len(data.validation):,} for validation"


def _total_batch(cfg: DictConfig) -> str:
    devices = cfg.trainer.devices * cfg.trainer.nodes
    batch, accumulation = shared_batch(cfg.data.total_batch, devices, cfg.data.batch)
    return f"{cfg.data.total_batch} = {devices} device(s) x {batch} photo(s) x {accumulation} accumulated pass(es)"


def _on_gpu(cfg: DictConfig) -> bool:
    accelerator = str(cfg.trainer.accelerator)
    return accelerator.startswith(("gpu", "cuda")) or (accelerator == "auto" and torch.cuda.is_available())


def _devices(cfg: DictConfig) -> Need:
    wanted, here = cfg.trainer.devices, torch.cuda.device_count()
    if not _on_gpu(cfg) and (wanted == 1 or cfg.trainer.accelerator == "cpu"):
        return Need("devices", f"{wanted} process(es) on the CPU")
    if wanted > 1 and ":" in str(cfg.trainer.accelerator):
        remedy = "set trainer.devices=1, or device=cuda for the first ones"
        return Need("devices", f"{wanted} GPUs wanted, and {cfg.trainer.accelerator} alone", remedy)
    fewer = f"trainer.devices={here}" if here else "trainer.accelerator=cpu trainer.devices=1"
    remedy = f"set {fewer} (the total batch stays {cfg.data.total_batch}), or run where there are more"
    return Need("devices", f"{wanted} GPU(s) wanted, {here} here", remedy if here < wanted else "")


def _sizes(cfg: DictConfig) -> list[Need]:
    """Memory of a device and disk for the checkpoints, from the architecture alone."""
    parts = shell(plain(cfg.base))
    if parts is None:
        return [Need("memory and disk", "unknown until the base is here")]
    trained = _trained_size(cfg, parts)
    frozen = sum(_count(part) for part in parts.values()) * dtype_of(cfg.base.dtype).itemsize
    average = cfg.trainer.ema is not None
    fixed = frozen + 4 * trained * (4 + average)  # weights, gradients and AdamW's two moments
    unet, batch = _config(parts["unet"]), min(cfg.data.batch, cfg.data.total_batch)
    first_map = 4 * unet.block_out_channels[0] * unet.sample_size**2
    total = fixed + batch * first_map * ACTIVATIONS[bool(cfg.learning.gradient_checkpointing)]
    kept = (cfg.trainer.keep + 1) * 4 * trained * (3 + average)
    return [_memory(cfg, fixed, total), _disk(cfg, kept)]


def _trained_size(cfg: DictConfig, parts: dict[str, nn.Module]) -> int:
    vision, text = (_config(parts[name]).hidden_size for name in ("image_encoder", "text_encoder"))
    with torch.device("meta"):
        net: nn.Module = build(cfg.learning.net)(parts["unet"], vision_width=vision, text_width=text)
    return _count(net)


def _config(net: Any) -> Any:
    return net.config


def _count(net: nn.Module) -> int:
    return sum(parameter.numel() for parameter in net.parameters())


def _memory(cfg: DictConfig, fixed: int, total: int) -> Need:
    if _on_gpu(cfg) and torch.cuda.is_available():
        here = memory(device_of(cfg.trainer.accelerator))
    elif _on_gpu(cfg):
        return Need("memory", f"about {total / GIB:.1f} GiB a device")
    else:
        here = memory(torch.device("cpu")) // cfg.trainer.devices
    detail = (
        f"about {total / GIB:.1f} GiB a device, of which {fixed / GIB:.1f} whatever the batch; {here / GIB:.1f} here"
    )
    remedy = "set base.dtype=bfloat16, trainer.ema=null, or use a device with more memory"
    return Need("memory", detail, remedy if fixed > here else "")


def free_disk(runs: Path) -> int:
    """Bytes free where this folder is, or is to be."""
    runs = runs.absolute()
    return shutil.disk_usage(next(folder for folder in (runs, *runs.parents) if folder.exists())).free


def _disk(cfg: DictConfig, wanted: int) -> Need:
    runs = Path(cfg.runs).absolute()
    free = free_disk(runs)
    detail = f"{wanted / GIB:.1f} GiB for {cfg.trainer.keep} checkpoints and one in the making; {free / GIB:.1f} free"
    return Need("disk", f"{detail} in {runs}", "free some space, or set trainer.keep=1" if free < wanted else "")


def _mirror(cfg: DictConfig) -> str:
    return cfg.logger.mode + (
        ": needs `wandb login`, and is kept offline without" if cfg.logger.mode == "online" else ""
    )
