"""From our parts to diffusers' own pipelines, for whoever has nothing but diffusers."""

import copy
import json
import secrets
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from diffusers import DDIMScheduler, StableDiffusionPipeline
from tokenizers import AddedToken
from torch import Tensor
from transformers import CLIPTextModel, CLIPTokenizer

from src.diffusion import add_noise
from src.files.whole import make_folder, naming, write_atomic
from src.models.base import TextToImage
from src.models.promptnet import PromptNet
from src.models.prompts import PLACEHOLDER, placeholder_position

ABOUT = "person.json"


def scheduler_of(base: TextToImage) -> DDIMScheduler:
    """The base's noise schedule as diffusers knows it."""
    beta = 1 - base.alpha_bar / torch.cat([base.alpha_bar.new_ones(1), base.alpha_bar[:-1]])
    return DDIMScheduler(
        trained_betas=beta.tolist(),
        clip_sample=False,
        set_alpha_to_one=base.final_alpha_bar == 1,
        steps_offset=base.steps_offset,
        prediction_type=base.prediction_type,
    )


def pipeline_of(kind: Callable[..., Any], base: TextToImage, **other: Any) -> Any:
    """A pipeline of diffusers, such as StableDiffusionPipeline, of the base's own parts, but for the `other` ones."""
    parts = {name: getattr(base, name) for name in ("vae", "text_encoder", "tokenizer", "unet")} | other
    unchecked = {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}
    return kind(**parts, **unchecked, scheduler=scheduler_of(base))


@torch.no_grad()
def pseudo_word(base: TextToImage, promptnet: PromptNet, photo: Tensor, *, timestep: int, seed: int = 0) -> Tensor:
    """S* [K, D] as it is at one timestep, where x_t is the photo [3, H, W] itself, noised to it with `seed`."""
    last = len(base.alpha_bar) - 1
    if not 0 <= timestep <= last:
        raise ValueError(f"timestep ({timestep}) must be in [0, {last}]")
    x_ref = base.encode(photo[None])
    eps = torch.randn(x_ref.shape, generator=torch.Generator().manual_seed(seed)).to(x_ref)
    t = torch.tensor([timestep], device=x_ref.device)
    x_t = add_noise(x_ref, eps, t, base.noise_levels) if promptnet.config["with_noise"] else x_ref
    return promptnet(x_t, t, x_ref, base.see(photo[None]))[0]


def export_person(base: TextToImage, pseudo: Tensor, folder: Path, *, prompt: str, about: dict[str, Any]) -> None:
    """Write `base` as a StableDiffusionPipeline whose tokenizer and text encoder know S*; whole or not there.

    pseudo: [K, D]; with K > 1 the further tokens are called S*_1, ..., which diffusers inserts by itself.
    prompt: S* replaces a token *and* its position's embedding, but diffusers will add a position: the one that S* has
        in this prompt is taken off. There the text state is exactly ours; elsewhere it is an approximation.
    about: what is said of it in person.json. Raises ValueError if the folder exists, OSError if it cannot be written.
    """
    if folder.exists():
        raise ValueError(f"{folder} exists: delete it, or give another out")
    tokenizer, text_encoder = _with_word(base, pseudo, placeholder_position(prompt, base.tokenizer))
    pipeline = pipeline_of(StableDiffusionPipeline, base, tokenizer=tokenizer, text_encoder=text_encoder)
    draft = make_folder(folder.parent) / f".{folder.name}.{secrets.token_hex(4)}.tmp"
    try:
        with naming(folder.parent):
            pipeline.save_pretrained(draft, safe_serialization=True)
            write_atomic(draft / ABOUT, (json.dumps(about, indent=2, ensure_ascii=False) + "\n").encode())
            draft.rename(folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _with_word(base: TextToImage, pseudo: Tensor, position: int) -> tuple[CLIPTokenizer, CLIPTextModel]:
    """Copies of tokenizer and text encoder in which S* is a word."""
    tokenizer, text_encoder = copy.deepcopy(base.tokenizer), copy.deepcopy(base.text_encoder)
    if not isinstance(text_encoder, CLIPTextModel):
        raise ValueError("only a base with a CLIPTextModel, as diffusers' folders have, can be exported")
    words = [PLACEHOLDER, *(f"{PLACEHOLDER}_{k}" for k in range(1, len(pseudo)))]
    tokenizer.add_tokens([AddedToken(word, normalized=False) for word in words])
    numbers = [int(tokenizer.convert_tokens_to_ids(word)) for word in words]  # type: ignore[arg-type]
    before: Tensor = base.text_encoder.get_input_embeddings().weight  # type: ignore[assignment]
    text_encoder.resize_token_embeddings(max(len(before), 1 + max(numbers)), mean_resizing=False)
    tokens: Tensor = text_encoder.get_input_embeddings().weight  # type: ignore[assignment]
    places: Tensor = text_encoder.embeddings.position_embedding.weight  # type: ignore[assignment, union-attr]
    with torch.no_grad():
        embeddings = pseudo.float() - places[position : position + len(pseudo)].float()
        tokens[numbers] = embeddings.to(tokens)
    return tokenizer, text_encoder
