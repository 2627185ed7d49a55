"""From checkpoints to the shipped folders: the base as a diffusers pipeline in half precision, PromptNet, examples."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from src.models.promptnet import PromptNet
from src.tiny_world import generator, renderer, vision
from src.tiny_world.names import Names
from src.tiny_world.renderer.captions import WORDS

NAMES = "names.safetensors"  # in the cache, beside the checkpoints
_CLASSES = {
    "vae": ["diffusers", "AutoencoderKL"],
    "unet": ["diffusers", "UNet2DConditionModel"],
    "text_encoder": ["transformers", "CLIPTextModel"],
    "tokenizer": ["transformers", "CLIPTokenizer"],
    "scheduler": ["diffusers", "DDIMScheduler"],
    "image_encoder": ["transformers", "CLIPVisionModel"],
}


def export_base(cache: Path, folder: Path) -> None:
    """Write the averaged weights of the stages vae, base and vision to `folder`, as diffusers and transformers do."""
    tokenizer = generator.kept_tokenizer(cache)
    net = generator.load_base(tokenizer, cache)
    parts = {
        "vae": generator.load_vae(cache),
        "unet": net["unet"],
        "text_encoder": net["text_encoder"],
        "image_encoder": vision.load_image_encoder(cache),
    }
    for name, part in parts.items():
        part.half().save_pretrained(folder / name)
    save_names(cache / NAMES, net["names"], folder)
    tokenizer.save_pretrained(folder / "tokenizer")
    generator.new_scheduler().save_pretrained(folder / "scheduler")
    index: dict[str, Any] = {"_class_name": "StableDiffusionPipeline", **_CLASSES}
    index |= {"safety_checker": [None, None], "feature_extractor": [None, None], "requires_safety_checker": False}
    (folder / "model_index.json").write_text(json.dumps(index, indent=2) + "\n")
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
    weights = base / "unet" / "diffusion_pytorch_model.safetensors"
    return hashlib.sha256(weights.read_bytes()).hexdigest()


def export_promptnet(trained: Path, folder: Path) -> None:
    """Half precision copy of a PromptNet folder."""
    shutil.rmtree(folder, ignore_errors=True)
    PromptNet.load(trained).to(torch.float16).save(folder)


def export_examples(folder: Path, count: int = 6) -> None:
    """Photos of validation people to try `personalise` with."""
    folder.mkdir(parents=True, exist_ok=True)
    for person in renderer.people.SPLITS["validation"][:count]:
        pixels, _ = renderer.drawing.draw(renderer.people.person(person), renderer.people.reference_scene(person))
        Image.fromarray(pixels).save(folder / f"person-{person}.png")
