"""E4T: S* by an encoder and a class word, weight offsets, and a few steps on the photo (arXiv 2302.12228)."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from torch import Tensor

from src.learning.e4t import TuneE4T, keep_person, known_person
from src.methods.drawing import Person, Sampler
from src.methods.method import Variants
from src.models.base import TextToImage, compile_blocks
from src.models.e4t import E4T, e4t_words, merged, noun_number
from src.models.personal import PersonalNoise
from src.models.prompts import check_prompt


@dataclass(frozen=True)
class EncoderTuning:
    """Encoder and weight offsets, pre-trained on a domain and tuned on the person; several photos share S* equally.

    finetune: None uses the pre-trained ones as they are.
    """

    trained: ClassVar[tuple[str, ...]] = ("e4t",)
    drawing: ClassVar[tuple[str, ...]] = ()
    memory: ClassVar[str] = "method.finetune.gradient_checkpointing=true, or a lower method.finetune.batch"

    e4t: E4T
    sampler: Sampler
    finetune: TuneE4T | None = None

    @property
    def learns(self) -> bool:
        """Whether somebody is tuned on."""
        return self.finetune is not None

    def check(self, base: TextToImage, prompts: Sequence[str], photos: int) -> None:
        """Prompts with S*, a class word that is one token, and weights of this base."""
        for prompt in prompts:
            check_prompt(prompt, base.tokenizer, base.known_words)
        noun_number(base, self.e4t)
        self.e4t.check(base)
        if self.finetune is not None:
            self.finetune.check(base)

    def learn(
        self,
        base: TextToImage,
        photos: Tensor,
        keep: Path | None = None,
        variants: Variants | None = None,
        people: Sequence[int] | None = None,
    ) -> Person:
        """Tune on `variants` of the photos, each of which gives its own S*, whomever it shows."""
        e4t = self._tuned(base, photos, keep, variants)
        words = e4t_words(base, e4t, photos)
        own = merged(base, e4t)
        if base.compiled:
            compile_blocks(own.unet)
        # the features of S* cost the encoder half of the U-Net: counted as a whole evaluation
        noise = PersonalNoise(own, words=words, as_tokens=True, word_evaluations=1, generic=self.sampler.generic)
        return Person(own, noise, self.sampler, shares=[1 / len(photos)] * len(photos))

    def _tuned(self, base: TextToImage, photos: Tensor, keep: Path | None, variants: Variants | None) -> E4T:
        """The pre-trained one itself, what lies in `keep`, or what is learned now."""
        if self.finetune is None:
            return self.e4t
        if keep is not None and keep.exists():
            return known_person(self.e4t, base, keep)
        tuned = self.finetune(base, self.e4t, photos if variants is None else variants(photos))
        if keep is not None:
            keep_person(tuned, base, keep)
        return tuned
