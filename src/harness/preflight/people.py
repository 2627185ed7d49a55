"""What learning and drawing people demand before anything is loaded: a device, its memory, and disk."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf

from src.harness.build import plain
from src.harness.compose import settings as settings_of
from src.harness.device import GIB, begun, described, memory
from src.harness.preflight.needs import Need, check, needs_of, show
from src.harness.preflight.sizes import Sizes, disk_for, sizes_of

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


def ready(cfg: DictConfig, command: str, more: Sequence[Need] = ()) -> torch.device | None:
    """The device, if the command is to go on; None after the table that preflight_only=true asks for.

    more: what the command looks at itself, later, if it goes on. ValueError for a device that is not here;
    FileNotFoundError lists all that is missing with its remedy.
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


def learns(method: Mapping[str, Any]) -> bool:
    """Whether a method, as plain settings, learns anybody, and was not given them."""
    return bool(method.get("finetune")) or ("steps" in method and not (method.get("embedding") or method.get("lora")))


def trained(method: Mapping[str, Any], sizes: Sizes) -> int:
    """Numbers of weights that a method, as plain settings, trains, or draws with in the place of the base's."""
    if "promptnet" in method:
        return sizes.person
    if "rank" not in method or method["rank"] is not None:  # a word, or a LoRA: next to nothing
        return 0
    return sizes.parts["unet"] + (sizes.parts["text_encoder"] if method["text_encoder"] else 0)


def _held(cfg: DictConfig, sizes: Sizes, saving: Mapping[str, Any]) -> tuple[int, int]:
    """About how many bytes are held at the most, and whatever the batch; as the command is set, or to save memory."""
    settings, method = {name: OmegaConf.select(cfg, name) for name in SAVING} | {**saving}, plain(cfg.method)
    several = "photo" in cfg and not OmegaConf.is_missing(cfg, "photo") and not isinstance(cfg.photo, str)
    rows = (len(cfg.photo) if several else 1) * max(len(cfg.sampler[name]) for name in ("joint", "separate", "opening"))
    drawn = (settings["sampler.batch"] or int(cfg.seeds)) * max((1 + rows) * DRAWN, DECODED)
    away = ("vae", "image_encoder") if settings["offload"] else ()
    frozen = sum(n for name, n in sizes.parts.items() if name not in away) * sizes.weight
    frozen += 4 * sizes.promptnet if "promptnet" in method else 0
    feature_map = (1 if sizes.weight == 2 else 2) * sizes.first_map
    fixed = frozen + trained(method, sizes) * sizes.weight
    peak = fixed + drawn * feature_map
    if learns(method):  # float32 copies, autocast's, gradients and AdamW's moments
        fixed = frozen + trained(method, sizes) * (16 + sizes.weight % 4)
        checkpointing = any(settings[name] for name in SAVING if name.endswith("checkpointing"))
        photos = (method.get("finetune") or method)["batch"] * (2 if method.get("prior") else 1)
        peak = max(peak, fixed + photos * LEARNT[checkpointing] * feature_map)
    return peak, fixed


def _memory(cfg: DictConfig, sizes: Sizes, device: torch.device) -> Need:
    (peak, fixed), here = _held(cfg, sizes, {}), memory(device)
    detail = f"about {peak / GIB:.1f} GiB at the peak; {here / GIB:.1f} here"
    if SPARE * peak <= here:
        return Need("memory", detail)
    saving = {name: value for name, value in SAVING.items() if name in settings_of(cfg)}
    less, _ = _held(cfg, sizes, saving)
    settings = " ".join(f"{name}={str(value).lower()}" for name, value in saving.items())
    remedy = f"set {settings}: about {less / GIB:.1f} GiB"
    if fixed <= here:  # the estimate of what depends on the batch is a cautious one
        return Need("memory", f"{detail}; if it is too little, {remedy}")
    return Need("memory", detail, remedy if less <= here else "use a device with more memory")


def _disk(cfg: DictConfig, sizes: Sizes) -> Need:
    people, method = int(cfg.people) if isinstance(cfg.get("people"), int) else 1, plain(cfg.method)
    wanted = people * trained(method, sizes) * sizes.weight if learns(method) else 0
    return disk_for(f"{people} learned people", wanted, cfg.runs, "another runs=FOLDER")
