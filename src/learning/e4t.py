"""Training E4T: on photos of a domain, then a few steps on one person's (Gal et al. 2023, arXiv 2302.12228)."""

import copy
import json
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from src.diffusion import add_noise, denoising_loss
from src.learning.person_file import fingerprint, read, state_of, write
from src.learning.pretrain import Draws, Predict, draws_for, encode_photos
from src.learning.steps import optimise
from src.models.base import TextToImage
from src.models.digest import base_digest
from src.models.e4t import E4T, noun_number, pseudo_word, with_offsets
from src.models.prompts import placeholder_position

FORMAT = "profusion-e4t-1"


def offset_square(offset: Tensor) -> Tensor:
    """|offset|^2, the mean over the batch of offsets [B, 1, D]: what lambda multiplies."""
    return offset.square().sum((1, 2)).mean()


def e4t_noise_prediction(
    base: TextToImage, own: TextToImage, e4t: E4T, photo: Draws, draws: Draws, prompt: str
) -> tuple[Tensor, Tensor]:
    """eps predicted at the noised photo under "... S* ..." by the U-Net with offsets, and the offset of S* [B, 1, D].

    own: `with_offsets(base, e4t)`. photo: as `encode_photos` gives it; the latents are posterior samples.
    """
    x_0 = photo["mean"] + photo["std"] * draws["z_target"]
    x_t = add_noise(x_0, draws["eps"], draws["t"], base.noise_levels)
    word, offset = pseudo_word(base, e4t, x_t, draws["t"], photo["vision"])
    text = base.text([prompt] * len(x_t), word, as_tokens=True)
    return own.predict_noise(x_t, draws["t"], text), offset


def e4t_prediction(base: TextToImage, e4t: E4T) -> Predict:
    """`e4t_noise_prediction` of these two, and |offset|^2; from here on the weights are this base's.

    ValueError for a class word that the tokenizer splits.
    """
    noun_number(base, e4t)
    e4t.config["base"] = base_digest(base)
    own: list[TextToImage] = []

    def predict(reference: Draws, target: Draws, draws: Draws, prompt: str) -> tuple[Tensor, Tensor]:
        if not own:  # by now all lies where it is trained
            own.append(with_offsets(base, e4t))
        predicted, offset = e4t_noise_prediction(base, own[0], e4t, target, draws, prompt)
        return predicted, offset_square(offset)

    return predict


@dataclass(frozen=True)
class TuneE4T:
    """How a person is learned: encoder and weight offsets on the photo, all else frozen [code]; steps >= 1.

    penalty: lambda >= 0 of lambda |offset|^2. Trained weights are float32, whatever the base's precision.
    gradient_checkpointing: activations are computed twice instead of kept; it changes no result.
    """

    steps: int
    lr: float
    penalty: float
    batch: int = 16
    weight_decay: float = 0.01
    prompt: str = "a photo of S*"
    low_third: float = 1 / 3
    seed: int = 0
    gradient_checkpointing: bool = False

    def __post_init__(self) -> None:
        for name in ("steps", "batch"):
            if getattr(self, name) < 1:
                raise ValueError(f"method.finetune.{name} ({getattr(self, name)}) must be at least 1")
        if self.lr <= 0:
            raise ValueError(f"method.finetune.lr ({self.lr}) must be above 0")
        if self.penalty < 0:
            raise ValueError(f"method.finetune.penalty ({self.penalty}), lambda, must be 0 or more")

    def check(self, base: TextToImage) -> None:
        """ValueError for a prompt without S*."""
        placeholder_position(self.prompt, base.tokenizer)

    def __call__(self, base: TextToImage, e4t: E4T, photos: Tensor) -> E4T:
        """An E4T that has learned photos [P, 3, H, W] in [-1, 1], or their variants, in turn; the one given stays."""
        tuned = copy.deepcopy(e4t).requires_grad_(True)
        own, encoded = with_offsets(base, tuned), encode_photos(base, photos)
        if self.gradient_checkpointing:
            own.unet.enable_gradient_checkpointing()

        def loss_at(step: int) -> Tensor:
            return self.loss(base, own, tuned, encoded, step)

        with torch.enable_grad():
            optimise(
                list(tuned.parameters()),
                loss_at,
                steps=self.steps,
                lr=self.lr,
                weight_decay=self.weight_decay,
                dtype=base.unet.dtype,
                setting="method.finetune.lr",
            )
        return tuned.requires_grad_(False)

    def loss(self, base: TextToImage, own: TextToImage, e4t: E4T, encoded: Draws, step: int) -> Tensor:
        """Of one step, on photos in turn; own: `with_offsets(base, e4t)`, encoded: as `encode_photos` gives them."""
        slots = [(step * self.batch + slot) % len(encoded["mean"]) for slot in range(self.batch)]
        draws = draws_for(base, self.seed, step, range(self.batch), low_third=self.low_third, device=base.device)
        photo = {name: value[slots] for name, value in encoded.items()}
        predicted, offset = e4t_noise_prediction(base, own, e4t, photo, draws, self.prompt)
        return denoising_loss(predicted, draws["eps"]) + self.penalty * offset_square(offset)


def keep_person(tuned: E4T, start: E4T, base: TextToImage, path: Path) -> None:
    """One safetensors file with its SHA-256 beside it, whole or not there (OSError). start: what was tuned."""
    write(path, tuned.state_dict(), _about(start, base))


def known_person(e4t: E4T, base: TextToImage, path: Path) -> E4T:
    """What `keep_person` wrote, as a copy of the pre-trained one. ValueError for a damaged file, or one of another."""
    found, known = read(path, _about(e4t, base), "base or E4T"), copy.deepcopy(e4t)
    known.load_state_dict(found)
    return known.requires_grad_(False)


def _about(e4t: E4T, base: TextToImage) -> dict[str, str]:
    """What a file says of itself, and must say to be of use here."""
    dtype = str(base.unet.dtype).removeprefix("torch.")
    start = fingerprint(state_of(e4t=e4t, unet=base.unet, text=base.text_encoder, image=base.image_encoder))
    return {"profusion": FORMAT, "dtype": dtype, "start": start, "config": json.dumps(e4t.config, sort_keys=True)}
