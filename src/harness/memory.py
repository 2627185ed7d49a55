"""What learning and drawing people demand before anything is loaded: a device, its memory, and disk."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf
from torch import nn

from src.harness.build import plain
from src.harness.compose import settings as settings_of
from src.harness.device import GIB, begun, described, memory
from src.harness.needs import Need, check, free_disk, needs_of, table
from src.models.base import HALF, dtype_of
from src.models.personal import attention_projections
from src.models.promptnet import PromptNet
from src.models.sources import shell

# memory of activations in units of the first feature map in float32, for half precision. Of a photo in a learning step,
# without and with gradient checkpointing: what autograd keeps at Stable Diffusion 2's size, counted on the meta device
# and doubled for what autocast keeps in float32; of a U-Net's row, and of a decoded image: guessed
LEARNT = {False: 450, True: 120}
DRAWN, DECODED = 60, 200
SPARE = 1.1  # of a device's memory something is lost between what is held
# what a smaller card is to be told, in this order
SAVING: Mapping[str, Any] = {
    "offload": True,
    "method.finetune.gradient_checkpointing": True,
    "method.gradient_checkpointing": True,
    "sampler.batch": 1,
}


@dataclass(frozen=True)
class Sizes:
    """Numbers of weights: of the frozen parts by name, of PromptNet and of the projections; bytes of one; a map's."""

    parts: Mapping[str, int]
    promptnet: int
    projections: int
    weight: int
    first_map: int

    def trained(self, method: Mapping[str, Any]) -> int:
        """Numbers of weights that a method, as plain settings, trains, or draws with in the place of the base's."""
        if "promptnet" in method:
            return self.promptnet + self.projections
        if "rank" not in method or method["rank"] is not None:  # a word, or a LoRA: next to nothing
            return 0
        return self.parts["unet"] + (self.parts["text_encoder"] if method["text_encoder"] else 0)

    def fixed(self, plan: "Plan", learning: bool) -> int:
        """Bytes whatever the batch: weights; in learning float32 copies, autocast's, gradients and AdamW's moments."""
        parts = {n: count for n, count in self.parts.items() if not (plan.offload and n in ("vae", "image_encoder"))}
        frozen = sum(parts.values()) * self.weight + (4 * self.promptnet if plan.promptnet else 0)
        return frozen + (16 + self.weight % 4 if learning else self.weight) * plan.trained


@dataclass(frozen=True)
class Plan:
    """The settings that memory depends on. trained: numbers of weights; batch: photos of a learning step; rows:
    conditions of the U-Net for each image; images: at once."""

    learns: bool
    promptnet: bool
    trained: int
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
        peaks = [sizes.fixed(self, False) + half * drawing * sizes.first_map]
        if self.learns:
            peaks.append(sizes.fixed(self, True) + half * learning * sizes.first_map)
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
    needs = [*needs_of(cfg, command), *more, *demands(cfg, device)]
    print(f"{cfg.world.notice}\n{table(needs)}", flush=True)
    check(cfg, needs)
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


def sizes_of(cfg: DictConfig) -> Sizes | None:
    """From the architecture alone; None where that is not here."""
    parts = shell(plain(cfg.base))
    if parts is None:
        return None
    unet: Any = parts["unet"]
    widths = {f"{name}_width": int(_config(parts[part]).hidden_size) for name, part in
              (("vision", "image_encoder"), ("text", "text_encoder"))}  # fmt: skip
    with torch.device("meta"):
        promptnet = PromptNet.from_unet(unet, **widths)
    dtype = dtype_of(cfg.base.dtype)
    return Sizes(
        parts={name: _count(part) for name, part in parts.items()},
        promptnet=_count(promptnet),
        projections=_count(attention_projections(unet)),
        weight=2 if dtype in HALF else 4,
        first_map=4 * unet.config.block_out_channels[0] * unet.config.sample_size**2,
    )


def _config(net: Any) -> Any:
    return net.config


def _count(net: nn.Module) -> int:
    return sum(parameter.numel() for parameter in net.parameters())


def learns(method: Mapping[str, Any]) -> bool:
    """Whether a method, as plain settings, learns anybody, and was not given them."""
    return bool(method.get("finetune")) or ("steps" in method and not (method.get("embedding") or method.get("lora")))


def _plan(cfg: DictConfig, sizes: Sizes, saving: Mapping[str, Any]) -> Plan:
    """As the command is set, or with settings that save memory."""
    settings = {**{name: OmegaConf.select(cfg, name) for name in SAVING}, **saving}
    method, sampler = plain(cfg.method), plain(cfg.sampler)
    steps = method.get("finetune") or method
    several = "photo" in cfg and not OmegaConf.is_missing(cfg, "photo") and not isinstance(cfg.photo, str)
    stages = max(len(sampler[rows]) for rows in ("joint", "separate", "opening"))
    return Plan(
        learns=learns(method),
        promptnet="promptnet" in method,
        trained=sizes.trained(method),
        batch=steps.get("batch", 0) * (2 if method.get("prior") else 1),
        checkpointing=any(settings.get(name) for name in SAVING if name.endswith("checkpointing")),
        rows=1 + (len(cfg.photo) if several else 1) * stages,
        images=settings["sampler.batch"] or int(cfg.seeds),
        offload=bool(settings["offload"]),
    )


def _memory(cfg: DictConfig, sizes: Sizes, device: torch.device) -> Need:
    plan, here = _plan(cfg, sizes, {}), memory(device)
    peak, fixed = plan.peak(sizes), sizes.fixed(plan, plan.learns)
    detail = f"about {peak / GIB:.1f} GiB at the peak; {here / GIB:.1f} here"
    if SPARE * peak <= here:
        return Need("memory", detail)
    saving = {name: value for name, value in SAVING.items() if name in settings_of(cfg)}
    less = _plan(cfg, sizes, saving)
    settings = " ".join(f"{name}={str(value).lower()}" for name, value in saving.items())
    remedy = f"set {settings}: about {less.peak(sizes) / GIB:.1f} GiB"
    if fixed <= here:  # the estimate of what depends on the batch is a cautious one
        return Need("memory", f"{detail}; if it is too little, {remedy}")
    return Need("memory", detail, remedy if less.peak(sizes) <= here else "use a device with more memory")


def _disk(cfg: DictConfig, sizes: Sizes) -> Need:
    method = plain(cfg.method)
    people = int(cfg.people) if isinstance(cfg.get("people"), int) else 1
    each = sizes.trained(method) * sizes.weight if learns(method) else 0
    wanted, free = people * each, free_disk(Path(cfg.runs))
    detail = f"{wanted / GIB:.1f} GiB for {people} learned people; {free / GIB:.1f} free in {Path(cfg.runs).absolute()}"
    return Need("disk", detail, "free some space, or set another runs=FOLDER" if free < wanted else "")
