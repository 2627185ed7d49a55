"""What learning and drawing people demand before anything is loaded: a device, its memory, and disk."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf

from src.harness.build import plain
from src.harness.device import GIB, begun, described, memory
from src.harness.preflight.needs import Need, check, needs_of, show
from src.harness.preflight.sizes import Sizes, free_disk, sizes_of

# memory of activations in units of the first feature map in float32, for half precision. Of a photo in a learning step,
# without and with gradient checkpointing: what autograd keeps at Stable Diffusion 2's size, counted on the meta device
# and doubled for what autocast keeps in float32; of a U-Net's row, and of a decoded image: guessed
LEARNT = {False: 450, True: 120}
DRAWN, DECODED = 60, 200
SPARE = 1.1  # of a device's memory something is lost between what is held
# what a smaller card is to be told, in this order
SAVING: Mapping[str, Any] = {"offload": True, "method.finetune.gradient_checkpointing": True, "sampler.batch": 1}


def _person(sizes: Sizes) -> int:
    """Bytes of somebody's file."""
    return (sizes.promptnet + sizes.projections) * sizes.weight


def _fixed(sizes: Sizes, learns: bool, offload: bool) -> int:
    """Bytes whatever the batch: weights; in learning float32 copies, autocast's, gradients and AdamW's moments."""
    kept = [count for name, count in sizes.parts.items() if not (offload and name in ("vae", "image_encoder"))]
    frozen = sum(kept) * sizes.weight + 4 * sizes.promptnet
    own = (16 + sizes.weight % 4) * (sizes.promptnet + sizes.projections) if learns else _person(sizes)
    return frozen + own


@dataclass(frozen=True)
class Plan:
    """The settings that memory depends on. rows: conditions of the U-Net for each image; images: at once."""

    learns: bool
    batch: int
    checkpointing: bool
    rows: int
    images: int
    offload: bool

    def peak(self, sizes: Sizes) -> int:
        """About how many bytes are held at the most."""
        half = 1 if sizes.weight == 2 else 2
        learning = self.batch * LEARNT[self.checkpointing] if self.learns else 0
        drawing = self.images * max(self.rows * DRAWN, DECODED)
        peaks = [_fixed(sizes, False, self.offload) + half * drawing * sizes.first_map]
        if self.learns:
            peaks.append(_fixed(sizes, True, self.offload) + half * learning * sizes.first_map)
        return max(peaks)


def ready(cfg: DictConfig, command: str, more: Sequence[Need] = ()) -> torch.device | None:
    """The device, if the command is to go on; None after the table that preflight_only=true asks for.

    more: what the command looks at itself, later, if it goes on.
    Raises:
        ValueError: the device is not here.
        FileNotFoundError: something is missing; all of it is listed with its remedy.
    """
    device = begun(cfg)
    if not cfg.preflight_only:
        check(cfg, needs_of(cfg, command))
        check(cfg, demands(cfg, device, enough=False))
        return device
    show(cfg, [*needs_of(cfg, command), *more, *demands(cfg, device)])
    return None


def demands(cfg: DictConfig, device: torch.device, enough: bool = True) -> list[Need]:
    """Device, memory and disk; only what is lacking if `enough` is not to be said."""
    sizes = sizes_of(cfg)
    if sizes is None:
        found = [Need("memory and disk", "unknown until the base is here")]
    else:
        found = [_memory(cfg, sizes, device), _disk(cfg, sizes)]
    found = [Need("device", described(device)), *found]
    return found if enough else [need for need in found if need.remedy]


def _plan(cfg: DictConfig, **saving: Any) -> Plan:
    """As the command is set, or with settings that save memory."""
    settings = {name: OmegaConf.select(cfg, name) for name in SAVING} | saving
    finetune, sampler = plain(cfg.method).get("finetune"), plain(cfg.sampler)
    several = "photo" in cfg and not OmegaConf.is_missing(cfg, "photo") and not isinstance(cfg.photo, str)
    stages = max(len(sampler[rows]) for rows in ("joint", "separate", "opening"))
    return Plan(
        learns=finetune is not None,
        batch=finetune["batch"] if finetune else 0,
        checkpointing=bool(settings["method.finetune.gradient_checkpointing"]),
        rows=1 + (len(cfg.photo) if several else 1) * stages,
        images=settings["sampler.batch"] or int(cfg.seeds),
        offload=bool(settings["offload"]),
    )


def _memory(cfg: DictConfig, sizes: Sizes, device: torch.device) -> Need:
    plan, here = _plan(cfg), memory(device)
    peak, fixed = plan.peak(sizes), _fixed(sizes, plan.learns, plan.offload)
    detail = f"about {peak / GIB:.1f} GiB at the peak; {here / GIB:.1f} here"
    if SPARE * peak <= here:
        return Need("memory", detail)
    less = _plan(cfg, **SAVING)
    settings = " ".join(f"{name}={str(value).lower()}" for name, value in SAVING.items())
    remedy = f"set {settings}: about {less.peak(sizes) / GIB:.1f} GiB"
    if fixed <= here:  # the estimate of what depends on the batch is a cautious one
        return Need("memory", f"{detail}; if it is too little, {remedy}")
    return Need("memory", detail, remedy if less.peak(sizes) <= here else "use a device with more memory")


def _disk(cfg: DictConfig, sizes: Sizes) -> Need:
    learns = plain(cfg.method).get("finetune") is not None
    people = int(cfg.people) if isinstance(cfg.get("people"), int) else 1
    wanted, free = (people * _person(sizes) if learns else 0), free_disk(Path(cfg.runs))
    detail = f"{wanted / GIB:.1f} GiB for {people} learned people; {free / GIB:.1f} free in {Path(cfg.runs).absolute()}"
    return Need("disk", detail, "free some space, or set another runs=FOLDER" if free < wanted else "")
