"""What a base is made of, found out before any of it is loaded: its architecture, and which weights are whole."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import try_to_load_from_cache
from safetensors import SafetensorError, safe_open
from torch import nn

from src.files.whole import read_object
from src.models.random_base import network

WEIGHTS = ("diffusion_pytorch_model.safetensors", "model.safetensors")
REMEDY = "restore it, or fetch the model again"
PARTS = ("unet", "vae", "text_encoder")
Arguments = Mapping[str, Any]  # of src.models.base.load_base, or of src.models.random_base.random_base


def lacking(base: Arguments) -> dict[str, str]:
    """Parts of a base whose weights cannot be used, and why: {} if all are there and whole, or made at random."""
    if "folder_or_hub_id" not in base:
        return {}
    folders = _folders(base)
    return {name: fault for name, folder in folders.items() if (fault := _fault(folder))}


def shell(base: Arguments) -> dict[str, nn.Module] | None:
    """The networks of a base on the meta device, without weights; None where their configurations are not here."""
    if "folder_or_hub_id" in base:
        folders = _folders(base)
        if not all(folder is not None and (folder / "config.json").is_file() for folder in folders.values()):
            return None
        configs = {name: read_object(folder / "config.json", REMEDY) for name, folder in folders.items() if folder}
        configs["image_encoder"] = configs["image_encoder"].get("vision_config", configs["image_encoder"])
    else:
        configs = {name: base[name] for name in (*PARTS, "image_encoder")}
    with torch.device("meta"):
        return {name: network(name, config) for name, config in configs.items()}


def widths_of(parts: Mapping[str, Any]) -> dict[str, Any]:
    """Of a base's vision tokens and text states, by the names under which networks that make S* take them."""
    vision, text = (int(parts[name].config.hidden_size) for name in ("image_encoder", "text_encoder"))
    return {"vision_width": vision, "text_width": text}


def numbers_of(*nets: nn.Module) -> int:
    """How many weights networks have together."""
    return sum(parameter.numel() for net in nets for parameter in net.parameters())


def _folders(base: Arguments) -> dict[str, Path | None]:
    """Where each part's config.json and weights lie; None for what was never downloaded."""
    source, seer = str(base["folder_or_hub_id"]), base.get("image_encoder")
    found = {name: _folder(source, name) for name in PARTS}
    return found | {"image_encoder": _folder(source, "image_encoder") if seer is None else _folder(str(seer), "")}


def _folder(source: str, part: str) -> Path | None:
    if Path(source).is_dir():
        return Path(source) / part
    if source.count("/") != 1:  # a folder that is not there
        return None
    cached = try_to_load_from_cache(source, f"{part}/config.json".lstrip("/"))
    return Path(cached).parent if isinstance(cached, str) else None


def _fault(folder: Path | None) -> str:
    """What is wrong with the weights in a folder; "" if nothing is."""
    if folder is None or not folder.is_dir():
        return "not here"
    if not (folder / "config.json").is_file():
        return f"{folder} has no config.json"
    files = _weight_files(folder)
    if not files:
        return f"{folder} has no weights ({' or '.join(WEIGHTS)})"
    for file in files:
        try:
            with safe_open(file, "pt"):
                pass
        except (SafetensorError, OSError) as error:
            return f"{file} is only half there or damaged ({error})"
    return ""


def _weight_files(folder: Path) -> list[Path]:
    """The one file, or all that an index lists."""
    for name in WEIGHTS:
        if (folder / name).is_file():
            return [folder / name]
        if (index := folder / f"{name}.index.json").is_file():
            return sorted({folder / shard for shard in read_object(index, REMEDY).get("weight_map", {}).values()})
    return []
