"""What learning and drawing people demand before anything is loaded: a device, its memory, and disk."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf

from src.harness.assembly import method_class
from src.harness.build import build, count, plain
from src.harness.compose import settings as settings_of
from src.harness.device import GIB, begun, check_dtype, described, memory
from src.harness.parallel.places import PROCESS, places_of, sharing
from src.harness.preflight.needs import Need, check, needs_of, show
from src.harness.preflight.sizes import Sizes, disk_for, sizes_of
from src.methods.method import Footprint

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


def ready(
    cfg: DictConfig, command: str, more: Sequence[Need] = (), sides: Sequence[tuple[str, DictConfig]] = ()
) -> torch.device | None:
    """The device, if the command is to go on; None after the table that preflight_only=true asks for.

    more: what the command looks at itself, later, if it goes on. sides: what it composes, each with its method's name,
    where it does not learn and draw by its own configuration; they have one base. ValueError for a device that is not
    here; FileNotFoundError lists all that is missing with its remedy.
    """
    sides = sides or [("", cfg)]
    _, first = sides[0]
    device = begun(first)
    if not cfg.preflight_only:
        check_sides(sides, command, device)
        return device
    found = [need for _, side in sides for need in needs_of(side, command)]
    show(first, _once([*found, *more, *demands(sides, device)]))
    return None


def check_sides(sides: Sequence[tuple[str, DictConfig]], command: str, device: torch.device) -> None:
    """FileNotFoundError lists all that is missing, or else all that is too little, with its remedy; ValueError for more
    people than there are, and for a precision that the device does not draw in."""
    _, first = sides[0]
    for _, side in sides:
        if precision := OmegaConf.select(side, "sampler.shortcuts.precision"):
            check_dtype(device, precision, "sampler.shortcuts.precision", instead="null")
    check(first, _once([need for _, side in sides for need in needs_of(side, command)]))
    for _, side in sides:  # a number of people that there are not is told as such, not as the disk that it would take
        if "people_set" in side and isinstance(side.get("people"), int):
            count(side, "people", len(build(side.people_set)))
    check(first, _once(demands(sides, device)))


def places(cfg: DictConfig) -> list[str]:
    """The device of each worker of a study. ValueError for more workers than people."""
    sizes = sizes_of(cfg) if cfg.get("workers") == "auto" else None  # no number that is given depends on memory
    footprint = footprint_of(cfg)
    return places_of(cfg, 0 if sizes is None or footprint is None else _held(cfg, sizes, footprint, {})[0])


def footprint_of(cfg: DictConfig) -> Footprint | None:
    """What the method says that it takes; None where it does not, or the base's configurations are not here."""
    sizes, say = sizes_of(cfg), getattr(method_class(cfg), "footprint", None)
    return None if sizes is None or say is None else say(plain(cfg.method), sizes.parts)


def _once(needs: Sequence[Need]) -> list[Need]:
    return list(dict.fromkeys(needs))


def demands(sides: Sequence[tuple[str, DictConfig]], device: torch.device) -> list[Need]:
    """The device, and memory and disk for each side, by what its method says of itself."""
    sizes, found = sizes_of(sides[0][1]), [Need("device", described(device))]
    for name, cfg in sides:
        of = f" for {name}" if name else ""
        say = getattr(method_class(cfg), "footprint", None)
        if sizes is None:
            found.append(Need("memory and disk", "unknown until the base is here"))
        elif say is None:
            found.append(
                Need(f"memory and disk{of}", f"unknown: {method_class(cfg).__name__} does not say what it takes")
            )
        else:
            footprint = say(plain(cfg.method), sizes.parts)
            found += [_memory(cfg, sizes, footprint, device, of), _disk(cfg, footprint, of)]
    return found


def _held(cfg: DictConfig, sizes: Sizes, footprint: Footprint, saving: Mapping[str, Any]) -> tuple[int, int]:
    """About how many bytes are held at the most, and whatever the batch; as the command is set, or to save memory."""
    settings = {name: OmegaConf.select(cfg, name) for name in SAVING} | {**saving}
    several = "photo" in cfg and not OmegaConf.is_missing(cfg, "photo") and not isinstance(cfg.photo, str)
    rows = (len(cfg.photo) if several else 1) * max(len(cfg.sampler[name]) for name in ("joint", "separate", "opening"))
    drawn = (settings["sampler.batch"] or int(cfg.seeds)) * max((1 + rows) * DRAWN, DECODED)
    frozen = sizes.frozen(("vae", "image_encoder") if settings["offload"] else ()) + footprint.held
    feature_map = (1 if sizes.weight == 2 else 2) * sizes.first_map
    fixed = frozen + footprint.drawing
    peak = fixed + drawn * feature_map
    if footprint.photos:
        fixed = frozen + footprint.learning
        checkpointing = any(settings[name] for name in SAVING if name.endswith("checkpointing"))
        peak = max(peak, fixed + footprint.photos * LEARNT[checkpointing] * feature_map)
    return peak, fixed


def _memory(cfg: DictConfig, sizes: Sizes, footprint: Footprint, device: torch.device, of: str) -> Need:
    (peak, fixed), here, what = _held(cfg, sizes, footprint, {}), memory(device), f"memory{of}"
    workers = sharing(places_of(cfg, peak))
    if workers > 1:
        every = workers * (peak + PROCESS)
        detail = f"about {every / GIB:.1f} GiB at the peak of {workers} workers; {here / GIB:.1f} here"
        return Need(what, detail, "" if SPARE * every <= here else "set workers=auto, or a lower number")
    detail = f"about {peak / GIB:.1f} GiB at the peak; {here / GIB:.1f} here"
    if SPARE * peak <= here:
        return Need(what, detail)
    saving = {name: value for name, value in SAVING.items() if name in settings_of(cfg)}
    less, _ = _held(cfg, sizes, footprint, saving)
    settings = " ".join(f"{name}={str(value).lower()}" for name, value in saving.items())
    remedy = f"set {settings}: about {less / GIB:.1f} GiB"
    if fixed <= here:  # the estimate of what depends on the batch is a cautious one
        return Need(what, f"{detail}; if it is too little, {remedy}")
    return Need(what, detail, remedy if less <= here else "use a device with more memory")


def _disk(cfg: DictConfig, footprint: Footprint, of: str) -> Need:
    people = int(cfg.people) if isinstance(cfg.get("people"), int) else 1
    return disk_for(f"{people} learned people{of}", people * footprint.kept, cfg.runs, "another runs=FOLDER")
