"""What the trainings keep in the cache: checkpoints from which they go on, and the nets that come out of them."""

import json
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel
from transformers import CLIPTokenizer, CLIPVisionModel

from src.files.whole import whole_file
from src.tiny_world.generator import new_base, new_image_encoder, new_tokenizer, new_vae

SCALE = "vae.json"  # beside the autoencoder's checkpoint: {"scaling_factor": ...}
NEW: dict[str, Any] = {"step": 0, "wall_s": 0.0, "log": {}, "start": ""}  # where a training stands that has not begun


def save(path: Path, net: nn.Module, average: nn.Module, optimizer: Mapping[str, Any], state: Mapping) -> None:
    """A checkpoint, wholly or not at all. optimizer: its state, {} before the first step; state: as `resume` gives."""
    weights = {"net": net.state_dict(), "average": average.state_dict(), "optimizer": optimizer}
    with whole_file(path) as file:
        torch.save({**weights, **state}, file)


def write_start(path: Path, net: nn.Module, start: str) -> None:
    """A checkpoint at step 0 that begins with these weights and an optimiser that has seen nothing.

    start: where the weights come from, for the report.
    """
    save(path, net, AveragedModel(net), {}, NEW | {"start": start})


def resume(path: Path, net: nn.Module, average: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """Go on from a checkpoint if there is one; returns its step, wall_s, log and start."""
    if not path.exists():
        return NEW
    saved = _saved(path)
    net.load_state_dict(saved["net"])
    average.load_state_dict(saved["average"])
    if saved["optimizer"]:
        optimizer.load_state_dict(saved["optimizer"])
    return {key: saved[key] for key in NEW}


def averaged(net: nn.Module, path: Path, only: str = "") -> nn.Module:
    """`net` with the averaged weights of a checkpoint, finished or not; `only` keeps the names that begin so.

    FileNotFoundError if the stage that writes the checkpoint has not run."""
    if not path.exists():
        raise FileNotFoundError(f"{path} is missing: run `python -m src.build_tiny_world stage={path.stem}` first")
    saved = _saved(path)["average"]
    net.load_state_dict({k.removeprefix("module."): v for k, v in saved.items() if k.startswith(f"module.{only}")})
    return net.eval().requires_grad_(False)


def _saved(path: Path) -> dict[str, Any]:
    """What a stage has written. ValueError for a file that is damaged, or holds more than numbers."""
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        reason = str(error).strip().split(". ")[0]
        raise ValueError(f"{path} is no checkpoint of a stage ({reason}): delete it to begin anew") from error


def kept_tokenizer(cache: Path) -> CLIPTokenizer:
    """The tokenizer that the checkpoints of this cache were trained with."""
    folder = cache / "tokenizer"
    if not folder.exists():
        new_tokenizer().save_pretrained(folder)
    return CLIPTokenizer.from_pretrained(folder)


def load_vae(cache: Path) -> Any:
    """The autoencoder of the stage vae, and the scale that gives its latents a deviation of 1."""
    vae: Any = averaged(new_vae(), cache / "vae.pt")
    vae.register_to_config(**json.loads((cache / SCALE).read_text()))
    return vae


def load_base(tokenizer: CLIPTokenizer, cache: Path) -> Any:
    """U-Net, text encoder and names of the stage base."""
    return averaged(new_base(tokenizer), cache / "base.pt")


def load_image_encoder(cache: Path) -> CLIPVisionModel:
    """The image encoder of the stage vision, without the parts that only its training needed."""
    encoder = new_image_encoder()
    averaged(nn.ModuleDict({"image_encoder": encoder}), cache / "vision.pt", only="image_encoder.")
    return encoder
