"""Textual Inversion: a person is a word, whose embedding alone is learned (Gal et al. 2022, arXiv 2208.01618)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from src.diffusion import denoising_loss
from src.learning.person_file import fingerprint, read, write
from src.learning.steps import NoisedPhotos, optimise, training_bytes
from src.methods.drawing import Person, Sampler
from src.methods.method import Footprint, Variants
from src.models.base import TextToImage
from src.models.folders import read_tensors
from src.models.personal import PersonalNoise, drawn_with
from src.models.prompts import check_prompt
from src.models.sources import widths_of
from src.models.words import embeddings_of, one_token

FORMAT = "textual-inversion-1"
NAME = "<person>"  # in diffusers' prompts; it finds no other words of a name with capitals


@dataclass(frozen=True)
class TextualInversion:
    """The person's words, learned on the photos under neutral templates; everything else is frozen.

    What is kept of a person is diffusers' learned_embeds.safetensors, in which they are called <person>.
    initial: the word whose embedding is learned on from; one token. words: how many stand for the person, K.
    templates: prompts with S*, of which each photo of a step gets one at random.
    embedding: such a file, of whoever learned it; then nothing is learned.
    """

    trained: ClassVar[tuple[str, ...]] = ()
    drawing: ClassVar[tuple[str, ...]] = ()
    files: ClassVar[Mapping[str, str]] = {"embedding": "give a learned_embeds.safetensors of diffusers"}
    memory: ClassVar[str] = "a lower method.batch"
    passes: ClassVar[str] = "steps"

    sampler: Sampler
    steps: int
    lr: float
    templates: Sequence[str]
    batch: int = 4
    weight_decay: float = 0.01
    initial: str = "person"
    words: int = 1
    seed: int = 0
    embedding: str | None = None

    @classmethod
    def footprint(cls, settings: Mapping[str, Any], parts: Mapping[str, nn.Module]) -> Footprint:
        """A few words in float32, which is next to nothing; but gradients reach them through the U-Net."""
        if settings.get("embedding") is not None:
            return Footprint()
        numbers = settings.get("words", 1) * widths_of(parts)["text_width"]
        learning = training_bytes(numbers, torch.float32)
        return Footprint(photos=settings["batch"], learning=learning, drawing=4 * numbers, kept=4 * numbers)

    @property
    def learns(self) -> bool:
        """Whether nobody was given."""
        return self.embedding is None

    def check(self, base: TextToImage, prompts: Sequence[str], photos: int) -> None:
        """A noun that is one token, templates and prompts that leave room for the words, and a file that fits."""
        words = self.words if self.embedding is None else len(read_embedding(self.embedding, base))
        longest = base.tokenizer.model_max_length
        if words > longest - 2:  # beside begin and end
            what = f"method.words ({words})" if self.learns else f"{self.embedding} ({words} words)"
            raise ValueError(f"{what} leaves no room in a prompt, which has {longest} tokens here: take fewer words")
        if self.learns:
            one_token(self.initial, base.tokenizer, base.known_words, "method.initial")
            if not self.templates:
                raise ValueError('method.templates ([]) must hold at least one, such as "a photo of S*"')
        for prompt in (*prompts, *(self.templates if self.learns else ())):
            check_prompt(prompt, base.tokenizer, base.known_words, words)

    def learn(
        self,
        base: TextToImage,
        photos: Tensor,
        keep: Path | None = None,
        variants: Variants | None = None,
        people: Sequence[int] | None = None,
        passing: Mapping[int, Path] | None = None,
    ) -> Person:
        """The words of whoever the photos, or their `variants`, show."""
        if people is not None and len(set(people)) > 1:
            raise ValueError(
                f"people ({list(people)}) are several, and Textual Inversion learns one: give photos of one"
            )
        word = self._word(base, photos, keep, variants, passing or {})
        own = drawn_with(base)
        noise = PersonalNoise(own, words=[word], as_tokens=True, generic=self.sampler.generic)
        return Person(own, noise, self.sampler, pseudo_tokens=len(word))

    def _word(
        self,
        base: TextToImage,
        photos: Tensor,
        keep: Path | None,
        variants: Variants | None,
        passing: Mapping[int, Path],
    ) -> Tensor:
        """[K, D] token embeddings: those that were given, those that lie in `keep`, or those that are learned now."""
        if self.embedding is not None:
            return read_embedding(self.embedding, base).to(base.device)
        about = {"profusion": FORMAT, **_about(base)}
        if keep is not None and keep.exists():
            return read(keep, about, "base")[NAME].to(base.device)

        def save(path: Path, word: Tensor) -> None:
            write(path, {NAME: word}, about)

        on_the_way = {steps: partial(save, path) for steps, path in passing.items()}
        word = self._learned(base, photos if variants is None else variants(photos), on_the_way)
        if keep is not None:
            save(keep, word)
        return word

    def _learned(self, base: TextToImage, photos: Tensor, passing: Mapping[int, Callable[[Tensor], None]]) -> Tensor:
        """The words; passing: what is done with them after so many steps."""
        start = embeddings_of(base.text_encoder)[
            one_token(self.initial, base.tokenizer, base.known_words, "method.initial")
        ]
        word = nn.Parameter(start.float().repeat(self.words, 1))  # float32, whatever the base
        noised = NoisedPhotos(base, photos, slots=range(self.batch), seed=self.seed)

        def loss_at(step: int) -> Tensor:
            x_t, t, eps = noised(step)
            text = base.text(self._prompts(step), word[None], as_tokens=True)
            return denoising_loss(base.predict_noise(x_t, t, text), eps)

        how: dict[str, Any] = {"steps": self.steps, "lr": self.lr, "weight_decay": self.weight_decay}
        how["passing"] = {steps: partial(save, word) for steps, save in passing.items()}
        with torch.enable_grad():
            optimise([word], loss_at, **how, dtype=base.unet.dtype, setting="method.lr")
        return word.detach()

    def _prompts(self, step: int) -> list[str]:
        """The templates of a step: a pure function of (seed, step)."""
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + step)
        return [self.templates[k] for k in torch.randint(len(self.templates), (self.batch,), generator=generator)]


def _about(base: TextToImage) -> dict[str, str]:
    """What a file of words says of the base that they belong to."""
    parts = {**base.unet.state_dict(), "tokens": embeddings_of(base.text_encoder)}
    return {"dtype": str(base.unet.dtype).removeprefix("torch."), "start": fingerprint(parts)}


def read_embedding(path: str, base: TextToImage) -> Tensor:
    """The words [K, D] in a learned_embeds.safetensors of diffusers, in float32.

    Raises FileNotFoundError where there is none, ValueError for a damaged file, or one that is no word of this base.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"method.embedding ({path}) is no file: give a learned_embeds.safetensors")
    remedy = "give the learned_embeds.safetensors of a person who was learned with this base"
    tensors, _ = read_tensors(Path(path), remedy)
    if len(tensors) != 1:
        raise ValueError(f"{path} holds {len(tensors)} tensors, and a person's words are one: {remedy}")
    (word,), width = tensors.values(), embeddings_of(base.text_encoder).shape[1]
    if not word.is_floating_point():
        raise ValueError(f"{path} holds {str(word.dtype).removeprefix('torch.')} numbers, no embedding: {remedy}")
    word = word.float()
    word = word[None] if word.ndim == 1 else word
    if word.ndim != 2 or word.shape[1] != width or not len(word):
        raise ValueError(f"{path} holds {list(word.shape)} numbers, and words of this base are {width} wide: {remedy}")
    if not word.isfinite().all():
        raise ValueError(f"{path} holds numbers that are not finite: {remedy}")
    return word
