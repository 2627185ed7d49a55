"""From checkpoints to the shipped folders (a diffusers pipeline in half precision, PromptNet, examples), and back."""

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from diffusers import StableDiffusionPipeline
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import CLIPTokenizer

from src.files.whole import sha256_of
from src.models.e4t import E4T
from src.models.promptnet import PromptNet
from src.runs.store import to_picture
from src.tiny_world import generator
from src.tiny_world.manifest import weights_digest
from src.tiny_world.names import Names
from src.tiny_world.photos import reference
from src.tiny_world.renderer.captions import WORDS
from src.tiny_world.renderer.people import SPLITS
from src.tiny_world.training.checkpoints import (
    SCALE,
    kept_tokenizer,
    load_base,
    load_image_encoder,
    load_vae,
    write_start,
)

NAMES = "names.safetensors"  # in the cache, beside the checkpoints


def export_base(cache: Path, folder: Path) -> None:
    """Write the averaged weights of the stages vae, base and vision to `folder`, as diffusers and transformers do."""
    tokenizer = kept_tokenizer(cache)
    net = load_base(tokenizer, cache)
    StableDiffusionPipeline(
        vae=load_vae(cache).half(),
        text_encoder=net["text_encoder"].half(),
        tokenizer=tokenizer,
        unet=net["unet"].half(),
        scheduler=generator.new_scheduler(),
        safety_checker=None,
        feature_extractor=None,
        image_encoder=load_image_encoder(cache).half(),
        requires_safety_checker=False,
    ).save_pretrained(folder)
    save_names(cache / NAMES, net["names"], folder)
    (folder / "vocabulary.txt").write_text("\n".join(WORDS) + "\n")


def save_names(path: Path, names: nn.Module, base: Path) -> None:
    """The names of training, which are not shipped; of the base in that folder."""
    save_file(names.half().state_dict(), path, metadata={"unet": _unet_digest(base)})


def load_names(path: Path, base: Path) -> Names | None:
    """What `save_names` wrote; None if there are none, or if they are of another base."""
    if not path.exists():
        return None
    with safe_open(path, "pt") as file:
        known = file.metadata()["unet"] == _unet_digest(base)
    names = Names(generator.TEXT_WIDTH)
    names.load_state_dict(load_file(path))
    return names.eval() if known else None


def _unet_digest(base: Path) -> str:
    return sha256_of(base / "unet" / "diffusion_pytorch_model.safetensors")


def export_promptnet(trained: Path, folder: Path) -> None:
    """Half precision copy of a PromptNet folder."""
    shutil.rmtree(folder, ignore_errors=True)
    PromptNet.load(trained).to(torch.float16).save(folder)


def export_e4t(trained: Path, folder: Path) -> None:
    """Half precision copy of an E4T folder."""
    shutil.rmtree(folder, ignore_errors=True)
    E4T.load(trained).save(folder, torch.float16)


def export_examples(folder: Path, count: int = 6) -> None:
    """Photos of validation people to try `personalise` with."""
    folder.mkdir(parents=True, exist_ok=True)
    for person in SPLITS["validation"][:count]:
        Image.fromarray(to_picture(reference(person, ())[0])).save(folder / f"person-{person}.png")


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
            {"image_encoder": generator.new_image_encoder().from_pretrained(base / "image_encoder")}
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
    (cache / SCALE).write_text(json.dumps({"scaling_factor": scale}))
    for name in stages:
        write_start(cache / f"{name}.pt", nets[name]().float(), f"shipped weights {weights_digest(weights)[:12]}")


def _base(folder: Path, tokenizer: CLIPTokenizer) -> nn.Module:
    net = generator.new_base(tokenizer)
    net["unet"] = generator.new_unet().from_pretrained(folder / "unet")
    net["text_encoder"] = generator.new_text_encoder(tokenizer).from_pretrained(folder / "text_encoder")
    return net
