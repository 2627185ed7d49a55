"""The prompt alone: nobody is learned, and S* is called by the sampler's generic noun."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from torch import Tensor, nn

from src.methods.drawing import Person, Sampler
from src.methods.method import Footprint, Variants
from src.models.base import TextToImage
from src.models.personal import PersonalNoise, drawn_with
from src.models.prompts import check_prompt


@dataclass(frozen=True)
class PromptOnly:
    """What the base makes of the prompts: the floor of every likeness."""

    trained: ClassVar[tuple[str, ...]] = ()
    drawing: ClassVar[tuple[str, ...]] = ()
    files: ClassVar[Mapping[str, str]] = {}
    memory: ClassVar[str] = ""
    learns: ClassVar[bool] = False

    sampler: Sampler

    @classmethod
    def footprint(cls, settings: Mapping[str, Any], parts: Mapping[str, nn.Module]) -> Footprint:
        """Nothing beside the base."""
        return Footprint()

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
        own = drawn_with(base)
        return Person(own, PersonalNoise(own, generic=self.sampler.generic), self.sampler, shares=())
