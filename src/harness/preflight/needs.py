"""What must be there for a command: weights, detectors, masks, and what the world lists; found or missing."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from src.harness.assembly import method_class
from src.harness.build import plain
from src.models.sources import lacking

PEOPLE = ("ablate", "personalise")  # the commands that learn and draw people
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
    """The base's weights, the files that the method reads, and what the world lists for this command."""
    found = [_weights(cfg), *(_of_method(cfg) if command in PEOPLE else ()), *dict.fromkeys(_of_augmentation(cfg))]
    for need in plain(cfg.world.needs):
        if command in need["commands"]:
            here = Path(need["place"]).exists()
            found.append(Need(need["what"], need["place"], "" if here else need["remedy"]))
    return found


def check(cfg: DictConfig, needs: Sequence[Need]) -> None:
    """Raise FileNotFoundError, listing everything that is missing and its remedy, and the embedded alternative."""
    missing = [need for need in needs if need.remedy]
    if missing:
        lines = "; ".join(f"{need.what} ({need.detail}): {need.remedy}" for need in missing)
        instead = f"; {cfg.world.alternative}" if cfg.world.alternative else ""
        raise FileNotFoundError(f"world {cfg.world.name} lacks {len(missing)}: {lines}{instead}")


def show(cfg: DictConfig, needs: Sequence[Need]) -> None:
    """Print the table of what a command needs, and `check`."""
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


def _weights(cfg: DictConfig) -> Need:
    source = plain(cfg.base)
    place = " + ".join(str(source[name]) for name in ("folder_or_hub_id", "image_encoder") if source.get(name))
    faults = lacking(source)
    if not faults:
        return Need("base weights", place if "folder_or_hub_id" in source else "random, of the configured architecture")
    listed = "; ".join(f"{part}: {fault}" for part, fault in faults.items())
    return Need("base weights", listed, " and ".join(dict.fromkeys(_remedy(source, part) for part in faults)))


def _of_method(cfg: DictConfig) -> Iterator[Need]:
    """The files and folders that the method's settings name; a method that says nothing of any has none."""
    for name, remedy in getattr(method_class(cfg), "files", {}).items():
        group, _, setting = name.rpartition(".")
        node = plain(OmegaConf.select(cfg.method, group) if group else cfg.method) or {}
        if node.get(setting) is not None:
            place = str(node[setting])
            yield Need(f"method.{name}", place, "" if Path(place).exists() else remedy.format_map(node))


def _of_augmentation(cfg: DictConfig) -> Iterator[Need]:
    """What repaints photos and has weights of its own, and the detector or the drawn masks that a subject is looked for
    with, where augmentation is asked for. ValueError for a setting that is none."""
    for asked in (OmegaConf.select(cfg, name) for name in ("augmentation", "ablation.change.augmentation")):
        if asked is not None and not isinstance(asked, DictConfig):
            raise ValueError(f"augmentation ({asked}) must be null or '${{world.augmentation}}'")
        if asked and "folder_or_hub_id" in asked.inpainter:
            yield _inpainter(asked.inpainter.folder_or_hub_id)
        for name, remedy in MASKS.items() if asked else ():
            place = asked.mask.get(name)
            if place is not None:
                yield Need(f"the mask's {name}", str(place), "" if Path(place).exists() else remedy)


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
