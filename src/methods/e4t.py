"""E4T: S* by an encoder and a class word, weight offsets, and a few steps on the photo (arXiv 2302.12228)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from src.learning.e4t import TuneE4T, keep_person, known_person
from src.learning.steps import training_bytes
from src.methods.drawing import Person, Sampler
from src.methods.method import Footprint, Variants
from src.models.base import TextToImage, compile_blocks
from src.models.e4t import E4T, e4t_words, merged, noun_number
from src.models.personal import PersonalNoise, attention_projections
from src.models.prompts import check_prompt
from src.models.sources import numbers_of, widths_of


@dataclass(frozen=True)
class EncoderTuning:
    """Encoder and weight offsets, pre-trained on a domain and tuned on the person; several photos share S* equally.

    finetune: None uses the pre-trained ones as they are.
    """

    trained: ClassVar[tuple[str, ...]] = ("e4t",)
    drawing: ClassVar[tuple[str, ...]] = ()
    files: ClassVar[Mapping[str, str]] = {
        "e4t.folder": "train one with `python -m src.train +experiment={trained_by}`, or set method.e4t.folder=FOLDER"
    }
    memory: ClassVar[str] = "method.finetune.gradient_checkpointing=true, or a lower method.finetune.batch"

    e4t: E4T
    sampler: Sampler
    finetune: TuneE4T | None = None

    @classmethod
    def footprint(cls, settings: Mapping[str, Any], parts: Mapping[str, nn.Module]) -> Footprint:
        """The encoder and its offsets, as they lie in their folder, and the projections that these bend."""
        unet: Any = parts["unet"]
        folder = str(settings["e4t"].get("folder", ""))
        with torch.device("meta"):
            e4t = E4T.described(folder) if E4T.lies_in(folder) else E4T.from_unet(unet, **widths_of(parts))
        held, bent = 4 * numbers_of(e4t), numbers_of(attention_projections(unet)) * unet.dtype.itemsize
        tuning = settings.get("finetune")
        if not tuning:
            return Footprint(held=held, drawing=bent)
        learning = training_bytes(numbers_of(e4t), torch.float32) + bent
        return Footprint(held, tuning["batch"], learning, drawing=held + bent, kept=held)

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
            keep_person(tuned, self.e4t, base, keep)
        return tuned
