"""What the base learns from: latents, traits and wordings of the training pictures, made once and kept in the cache."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import CLIPTokenizer

from src.files.whole import sha256_of
from src.models.prompts import PLACEHOLDER
from src.tiny_world.names import traits_of
from src.tiny_world.renderer.captions import PHRASES, WORDS, caption
from src.tiny_world.renderer.scenes import STYLES, Scene
from src.tiny_world.training.checkpoints import load_vae
from src.tiny_world.training.pictures import Pictures, kept_rows, read_rows, whole_rows

COUNT = 8  # wordings of a picture; the second half of them call the person by name
ALONE = 0.2  # of the named ones say nothing but the style and the name
NOUN = "person"  # the word that stands where a name will be


class Latents:
    """Posterior mean and standard deviation of every picture, encoded once, on a device."""

    def __init__(self, cache: Path, pictures: Pictures, device: torch.device):
        vae = sha256_of(cache / "vae.pt")[:8]
        # those of an autoencoder that was trained further are others
        path = cache / f"latents-{vae}-{pictures.key}.npy"
        autoencoder = load_vae(cache)
        if not path.exists():
            _encode_all(autoencoder, pictures, path, device)
        self.data, self.scale = read_rows(path, device), autoencoder.config.scaling_factor

    def sample(self, index: Tensor, generator: torch.Generator) -> Tensor:
        """Scaled posterior samples [B, 4, 16, 16]."""
        mean, std = self.data[index].float().unbind(1)
        return self.scale * (mean + std * torch.randn(mean.shape, generator=generator, device=mean.device))


@torch.no_grad()
def _encode_all(vae: Any, pictures: Pictures, path: Path, device: torch.device) -> None:
    vae.to(device)
    with whole_rows(path, (pictures.count, 2, 4, 16, 16), np.float16) as out:
        for index in torch.arange(pictures.count).split(100 if device.type == "cpu" else 2000):
            with torch.autocast(device.type, torch.bfloat16):
                posterior = vae.encode(pictures.images(index).to(device)).latent_dist
            out[index[0] : index[-1] + 1] = torch.stack([posterior.mean, posterior.std], 1).half().cpu().numpy()


def known_traits(cache: Path, pictures: Pictures, device: torch.device) -> Tensor:
    """The traits of all people shown [P, T], in their order."""
    one = lambda index: traits_of([pictures.first + index])[0].numpy()  # noqa: E731
    count = -(-pictures.count // pictures.per_person)
    return kept_rows(cache / f"traits-{pictures.key}.npy", one, count, one(0).shape, np.float32, device)


class Wordings:
    """COUNT wordings of every picture: ids [B, L], and where the name stands [B] (0: there is none).

    style: [count], the number of each picture's style in renderer.scenes.STYLES.
    """

    def __init__(self, folder: Path, pictures: Pictures, tokenizer: CLIPTokenizer, device: torch.device | str):
        length = tokenizer.model_max_length
        path = folder / f"wordings-{pictures.key}-{COUNT}.npy"
        ends = (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id)
        row = partial(_row, pictures.scene_of, word_ids(tokenizer), ends, length)
        self.data = kept_rows(path, row, pictures.count, (COUNT, length + 2), np.int16, device)
        self.style = self.data[:, 0, -1].long()

    def sample(self, index: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """ids [B, L] and name positions [B] of one wording of each picture of `index` [B]."""
        which = torch.randint(COUNT, (len(index),), generator=generator, device=self.data.device)
        rows = self.data[index, which].long()
        return rows[:, :-2], rows[:, -2]


def word_ids(tokenizer: CLIPTokenizer) -> dict[str, int]:
    """The one token of each word of the world. ValueError for a tokenizer that splits one."""
    ids = {word: tokenizer(word, add_special_tokens=False).input_ids for word in WORDS}
    split = [word for word, pieces in ids.items() if len(pieces) != 1]
    if split:
        raise ValueError(f"the tokenizer splits {split[0]!r}: names need words of one token, so make a new tokenizer")
    return {word: pieces[0] for word, pieces in ids.items()}


def _row(
    scene_of: Callable[[int], Scene], words: dict[str, int], ends: tuple[int, int, int], length: int, index: int
) -> np.ndarray:
    """int16 [COUNT, L + 2]: ids, the position of the name, and the style."""
    rng, scene = np.random.default_rng([index, 8]), scene_of(index)
    out = np.full((COUNT, length + 2), ends[2], np.int16)
    for number in range(COUNT):
        text = caption(scene, rng, PLACEHOLDER if number >= COUNT // 2 else None)
        if number >= COUNT // 2 and rng.random() < ALONE:
            text = f"{rng.choice(PHRASES['style'][scene.style])} {PLACEHOLDER}"
        spoken = text.split()
        ids = [ends[0], *(words[NOUN if word == PLACEHOLDER else word] for word in spoken), ends[1]]
        out[number, : len(ids)] = ids
        out[number, -2] = spoken.index(PLACEHOLDER) + 1 if PLACEHOLDER in spoken else 0
        out[number, -1] = STYLES.index(scene.style)
    return out
