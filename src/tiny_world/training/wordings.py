"""Captions of the training pictures as token ids, written once: what a base reads, half of it with a name."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from transformers import CLIPTokenizer

from src.models.prompts import PLACEHOLDER
from src.tiny_world.renderer.captions import PHRASES, WORDS, caption
from src.tiny_world.renderer.scenes import STYLES, Scene
from src.tiny_world.training.pictures import Pictures, read_rows, write_rows

COUNT = 8  # wordings of a picture; the second half of them call the person by name
ALONE = 0.2  # of the named ones say nothing but the style and the name
NOUN = "person"  # the word that stands where a name will be


class Wordings:
    """COUNT wordings of every picture: ids [B, L], and where the name stands [B] (0: there is none).

    style: [count], the number of each picture's style in renderer.scenes.STYLES.
    """

    def __init__(self, folder: Path, pictures: Pictures, tokenizer: CLIPTokenizer, device: torch.device | str):
        length = tokenizer.model_max_length
        path = folder / f"wordings-{pictures.key}-{COUNT}.npy"
        if not path.exists():
            words = word_ids(tokenizer)
            ends = (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id)
            row = partial(_row, pictures.scene_of, words, ends, length)
            write_rows(path, row, pictures.count, (COUNT, length + 2), np.int16)
        self.data = read_rows(path, device)
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
