"""ProFusion: PromptNet, a short fine-tuning, Fusion Sampling (arXiv 2305.13579), and with other data its ablations."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from src.learning.steps import training_bytes
from src.learning.tuned import Tuned, untuned
from src.methods.drawing import Person, Sampler
from src.methods.method import Footprint, Variants
from src.models.base import TextToImage
from src.models.personal import PersonalNoise, attention_projections
from src.models.promptnet import PromptNet
from src.models.prompts import check_prompt
from src.models.sources import numbers_of, widths_of


def check_shares(shares: Sequence[float] | None, photos: int) -> None:
    """ValueError unless there is one weight for each photo, none below 0, and not all of them 0."""
    if shares is not None and (len(shares) != photos or min(shares) < 0 or sum(shares) <= 0):
        raise ValueError(f"method.shares ({list(shares)}) must be {photos} weights >= 0, not all 0: one a photo")


def person_of(tuned: Tuned, photos: Tensor, sampler: Sampler, shares: Sequence[float] | None = None) -> Person:
    """Whom `tuned` has learned, as PromptNet sees them on photos [P, 3, H, W]; shares: None shares equally."""
    check_shares(shares, len(photos))
    base, promptnet = tuned.in_use()
    noise = PersonalNoise(base, promptnet, photos, generic=sampler.generic)
    own = [1 / len(photos)] * len(photos) if shares is None else shares
    return Person(base, noise, sampler, shares=own, pseudo_tokens=promptnet.num_pseudo_tokens)


@dataclass(frozen=True)
class ProFusion:
    """The method and, by its data, the ablations: no `finetune`, no fusion steps, other terms.

    finetune: (base, promptnet, photos, and people if there are several) -> Tuned; None uses the pre-trained PromptNet.
    shares: the weight s_k of each photo's S*; None shares equally, with sum 1. The refinement stage multiplies its
        weights by s_k, the fusion stage by s_k over their sum.
    """

    trained: ClassVar[tuple[str, ...]] = ("promptnet",)
    drawing: ClassVar[tuple[str, ...]] = ("shares",)
    files: ClassVar[Mapping[str, str]] = {
        "promptnet.folder": "train one with `python -m src.train +experiment=ffhq_pretrain`, or set "
        "world.promptnet=FOLDER"
    }
    passes: ClassVar[str] = "finetune.steps"
    memory: ClassVar[str] = "method.finetune.gradient_checkpointing=true, or a lower method.finetune.batch"

    promptnet: PromptNet
    sampler: Sampler
    finetune: Callable[..., Tuned] | None = None
    shares: Sequence[float] | None = None

    @classmethod
    def footprint(cls, settings: Mapping[str, Any], parts: Mapping[str, nn.Module]) -> Footprint:
        """PromptNet, as it would start from this base, and to fine-tune copies of it and of the U-Net's projections."""
        unet: Any = parts["unet"]
        with torch.device("meta"):
            promptnet = PromptNet.from_unet(unet, **widths_of(parts))
        held, tuning = 4 * numbers_of(promptnet), settings.get("finetune")
        if not tuning:
            return Footprint(held=held)
        changed = numbers_of(promptnet, attention_projections(unet))
        own = changed * unet.dtype.itemsize
        return Footprint(held, tuning["batch"], training_bytes(changed, unet.dtype), drawing=own, kept=own)

    @property
    def learns(self) -> bool:
        """Whether somebody is fine-tuned on."""
        return self.finetune is not None

    def check(self, base: TextToImage, prompts: Sequence[str], photos: int) -> None:
        """Prompts that fit PromptNet's S*, and a share for each photo."""
        for prompt in prompts:
            check_prompt(prompt, base.tokenizer, base.known_words, self.promptnet.num_pseudo_tokens)
        check_shares(self.shares, photos)

    def learn(
        self,
        base: TextToImage,
        photos: Tensor,
        keep: Path | None = None,
        variants: Variants | None = None,
        people: Sequence[int] | None = None,
        passing: Mapping[int, Path] | None = None,
    ) -> Person:
        """Fine-tune on `variants` of the photos; S* comes from the photos. `people`: each learns to give its own."""
        check_shares(self.shares, len(photos))
        tuned = self._tuned(base, photos, keep, variants, people, {"passing": passing} if passing else {})
        return person_of(tuned, photos, self.sampler, self.shares)

    def _tuned(
        self,
        base: TextToImage,
        photos: Tensor,
        keep: Path | None,
        variants: Variants | None,
        people: Sequence[int] | None,
        more: Mapping[str, Any],
    ) -> Tuned:
        """The pre-trained parts themselves, what lies in `keep`, or what is learned now."""
        if self.finetune is None:
            return Tuned(base, self.promptnet)
        if keep is not None and keep.exists():
            return untuned(base, self.promptnet).load(keep)
        seen = photos if variants is None else variants(photos)
        shown = None if people is None else [person for person in people for _ in range(len(seen) // len(photos))]
        tuned = self.finetune(base, self.promptnet, seen, *([] if shown is None else [shown]), **more)
        if keep is not None:
            tuned.save(keep)
        return tuned
