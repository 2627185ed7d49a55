"""From the shipped folders back to checkpoints, so that a training goes on where the shipped weights end."""

from __future__ import annotations

import shutil
from pathlib import Path

from torch import nn

from src.tiny_world import generator, vision
from src.tiny_world.manifest import weights_digest
from src.tiny_world.training import write_start


def unpack(weights: Path, cache: Path) -> None:
    """Write checkpoints at step 0 of the stages vae, base and vision; the optimiser begins anew.

    Raises:
        FileExistsError: the cache holds a checkpoint already, which would be lost.
    """
    base = weights / "base"
    tokenizer = generator.new_tokenizer().from_pretrained(base / "tokenizer")
    unet = generator.new_unet().from_pretrained(base / "unet")
    text_encoder = generator.new_text_encoder(tokenizer).from_pretrained(base / "text_encoder")
    image_encoder = vision.new_image_encoder().from_pretrained(base / "image_encoder")
    nets = {
        "vae": generator.new_vae().from_pretrained(base / "vae"),
        "base": nn.ModuleDict({"unet": unet, "text_encoder": text_encoder}),
        "vision": nn.ModuleDict({"image_encoder": image_encoder}),
    }
    present = [path for name in nets if (path := cache / f"{name}.pt").exists()]
    if present:
        raise FileExistsError(f"{present[0]} would be overwritten: move it away, or give another cache=FOLDER")
    shutil.copytree(base / "tokenizer", cache / "tokenizer", dirs_exist_ok=True)
    for name, net in nets.items():
        write_start(cache / f"{name}.pt", net.float(), f"shipped weights {weights_digest(weights)[:12]}")
