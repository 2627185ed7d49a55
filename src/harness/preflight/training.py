"""What a training needs: photos, a batch that devices can share, their memory, and disk for checkpoints."""

from collections.abc import Callable

import torch
from omegaconf import DictConfig

from src.data.datamodule import shared_batch
from src.harness.build import build
from src.harness.device import GIB, device_of, memory
from src.harness.preflight.needs import Need, check, needs_of, show
from src.harness.preflight.sizes import disk_for, sizes_of
from src.learning.trainer import is_follower
from src.models.sources import numbers_of, widths_of

# activations of one photo in units of its first feature map in float32: without gradient checkpointing guessed, with
# it measured at Stable Diffusion 2's size (2 GiB), and rounded up; of PromptNet, whose encoder keeps more than E4T's
ACTIVATIONS = {False: 2400, True: 500}


def check_training(cfg: DictConfig) -> None:
    """Print the table of what a training needs, in its first process, and `check` it."""
    weights, *others = needs_of(cfg, "train")
    photos = [] if any(need.remedy for need in others) else [_tried("photos", lambda: _photos(cfg))]
    batch = _tried("total batch", lambda: _total_batch(cfg))
    note = ": needs `wandb login`, and is kept offline without" if cfg.logger.mode == "online" else ""
    mirror = Need("Weights & Biases", f"{cfg.logger.mode}{note}")
    needs = [weights, *others, *photos, batch, _devices(cfg), *_memory_and_disk(cfg), mirror]
    return check(cfg, needs) if is_follower() else show(cfg, needs)


def _tried(what: str, look: Callable[[], str]) -> Need:
    """Errors that name their remedy are the remedy."""
    try:
        return Need(what, look())
    except (ValueError, OSError) as error:
        return Need(what, "not usable", " ".join(str(error).split()))


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


def _memory_and_disk(cfg: DictConfig) -> list[Need]:
    sizes = sizes_of(cfg)
    if sizes is None:
        return [Need("memory and disk", "unknown until the base is here")]
    with torch.device("meta"):
        trained = 4 * numbers_of(build(cfg.learning.net)(sizes.parts["unet"], **widths_of(sizes.parts)))
    average = cfg.trainer.ema is not None
    kept = (cfg.trainer.keep + 1) * trained * (3 + average)
    what = f"{cfg.trainer.keep} checkpoints and one in the making"
    # weights, gradients and AdamW's two moments
    fixed = sizes.frozen() + trained * (4 + average)
    return [_memory(cfg, fixed, sizes.first_map), disk_for(what, kept, cfg.runs, "trainer.keep=1")]


def _memory(cfg: DictConfig, fixed: int, first_map: int) -> Need:
    batch = min(cfg.data.batch, cfg.data.total_batch)
    total = fixed + batch * first_map * ACTIVATIONS[bool(cfg.learning.gradient_checkpointing)]
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
