"""The prompt alone: nobody is learned, and S* is called by the sampler's generic noun."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from torch import Tensor

from src.methods.drawing import Person, Sampler
from src.methods.method import Variants
from src.models.base import TextToImage
from src.models.personal import PersonalNoise
from src.models.prompts import check_prompt


@dataclass(frozen=True)
class PromptOnly:
    """What the base makes of the prompts: the floor of every likeness."""

    trained: ClassVar[tuple[str, ...]] = ()
    drawing: ClassVar[tuple[str, ...]] = ()
    memory: ClassVar[str] = ""
    learns: ClassVar[bool] = False

    sampler: Sampler

    def check(self, base: TextToImage, prompts: Sequence[str], photos: int) -> None:
        """Prompts as for every method, so that all draw the same ones."""
        for prompt in prompts:
            check_prompt(prompt, base.tokenizer, base.known_words)

    def learn(
        self,
        base: TextToImage,
        photos: Tensor,
        keep: Path | None = None,
        variants: Variants | None = None,
        people: Sequence[int] | None = None,
    ) -> Person:
        """The base itself."""
        return Person(base, PersonalNoise(base, generic=self.sampler.generic), self.sampler, shares=())
