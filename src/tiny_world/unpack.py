"""From the shipped folders back to checkpoints, so that a training goes on where the shipped weights end."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from torch import nn
from transformers import CLIPTokenizer

from src.tiny_world import generator, vision
from src.tiny_world.manifest import weights_digest
from src.tiny_world.training.loop import write_start


def unpack(weights: Path, cache: Path, stages: Sequence[str]) -> None:
    """Write checkpoints at step 0 of some of the stages vae, base and vision; the optimiser begins anew.

    A base begins with names that it has never read: it has learned to do without them, so train it from scratch.

    Raises:
        FileExistsError: the cache holds a checkpoint already, which would be lost.
        ValueError: a stage is not one of the three.
    """
    base = weights / "base"
    tokenizer = generator.new_tokenizer().from_pretrained(base / "tokenizer")
    nets: dict[str, Callable[[], nn.Module]] = {
        "vae": lambda: generator.new_vae().from_pretrained(base / "vae"),
        "base": lambda: _base(base, tokenizer),
        "vision": lambda: nn.ModuleDict(
            {"image_encoder": vision.new_image_encoder().from_pretrained(base / "image_encoder")}
        ),
    }
    unknown = [name for name in stages if name not in nets]
    if unknown:
        raise ValueError(f"unpack ({unknown[0]}) must be of {', '.join(nets)}")
    present = [path for name in stages if (path := cache / f"{name}.pt").exists()]
    if present:
        raise FileExistsError(f"{present[0]} would be overwritten: move it away, or give another cache=FOLDER")
    shutil.copytree(base / "tokenizer", cache / "tokenizer", dirs_exist_ok=True)
    scale = json.loads((base / "vae" / "config.json").read_text())["scaling_factor"]
    (cache / generator.SCALE).write_text(json.dumps({"scaling_factor": scale}))
    for name in stages:
        write_start(cache / f"{name}.pt", nets[name]().float(), f"shipped weights {weights_digest(weights)[:12]}")


def _base(folder: Path, tokenizer: CLIPTokenizer) -> nn.Module:
    net = generator.new_base(tokenizer)
    net["unet"] = generator.new_unet().from_pretrained(folder / "unet")
    net["text_encoder"] = generator.new_text_encoder(tokenizer).from_pretrained(folder / "text_encoder")
    return net
