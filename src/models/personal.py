"""The noise prediction of a base under prompts in which S* stands for somebody: for a photo, or for a learned word."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from diffusers.models.attention_processor import Attention
from torch import Tensor, nn

from src.models.base import TextToImage
from src.models.promptnet import PromptNet
from src.models.prompts import generic_prompt
from src.models.recording import Recording
from src.sampling import Condition, Conditions

# what S* stands for: a constant [K, D], or (x_t [B, C, h, w], t 0-dim) -> [B, K, D]
Word = Tensor | Callable[[Tensor, Tensor], Tensor]
RECORDINGS = 6  # kept at a time: those of one prompt, and of the last batch, which is smaller


def attention_projections(unet: nn.Module) -> nn.ModuleList:
    """The query, key and value projections of every self- and cross-attention: what fine-tuning trains of the U-Net."""
    attentions = [module for module in unet.modules() if isinstance(module, Attention)]
    return nn.ModuleList(linear for a in attentions for linear in (a.to_q, a.to_k, a.to_v))


def promptnet_words(base: TextToImage, promptnet: PromptNet, photos: Tensor) -> list[Word]:
    """S* of each photo [P, 3, H, W] in [-1, 1], as PromptNet makes it at (x_t, t). One without noise is shown the photo
    in the place of x_t."""
    with_noise = promptnet.config["with_noise"]

    def word(x_ref: Tensor, vision: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
        x_ref = x_ref.expand(len(x_t), -1, -1, -1)
        return promptnet(x_t if with_noise else x_ref, t, x_ref, vision.expand(len(x_t), -1, -1))

    return [partial(word, *photo) for photo in zip(base.encode(photos), base.see(photos), strict=True)]


class PersonalNoise:
    """`noise(x, t, conditions)` for the samplers: each S* once, and ONE batched U-Net call.

    What depends on the run alone (photo latents, vision tokens, text states without S*) is computed once.
    `unet_evaluations` counts the U-Net's evaluations for each image of the batch. Where the base says so, what a call
    queues on the GPU is recorded at the first and replayed at all others that ask for the same.
    """

    def __init__(
        self,
        base: TextToImage,
        promptnet: PromptNet | None = None,
        photos: Tensor | None = None,
        *,
        words: Sequence[Word] = (),
        as_tokens: bool = False,
        word_evaluations: int = 0,
        generic: str = "a person",
    ):
        """What a condition's `photo` counts: photos [P, 3, H, W] in [-1, 1] that `promptnet` makes words of, or `words`
        made otherwise. as_tokens: these are token embeddings (src.models.prompts.encode). word_evaluations: of the
        U-Net, that each word costs at (x_t, t). generic: the noun that names S* in the interpolation of gamma."""
        self.base, self.promptnet, self.generic = base, promptnet, generic
        self.words = list(words) if promptnet is None or photos is None else promptnet_words(base, promptnet, photos)
        self.as_tokens, self.word_evaluations = as_tokens, word_evaluations
        self.plain: dict[str, Tensor] = {}
        self.unet_evaluations = 0
        self._recorded: dict[Any, Recording] = {}

    def __call__(self, x: Tensor, t: Tensor, conditions: Sequence[Conditions]) -> Sequence[Tensor]:
        """conditions: each of one kind for all rows of x, or one for each row, alike in all but their prompts."""
        self.unet_evaluations += len(conditions) + self.word_evaluations * len(_numbers(conditions))
        if not self.base.recorded:
            return self._predict(x, t, conditions).chunk(len(conditions))
        asked = (tuple(conditions), x.shape)
        if asked not in self._recorded:
            if len(self._recorded) == RECORDINGS:
                self._recorded.clear()
            self._recorded[asked] = Recording(lambda x, t: self._predict(x, t, conditions), (x, t))
        return self._recorded[asked](x, t).chunk(len(conditions))

    def _predict(self, x: Tensor, t: Tensor, conditions: Sequence[Conditions]) -> Tensor:
        """eps of all conditions [N * B, C, h, w]."""
        rows = [[c] * len(x) if isinstance(c, Condition) else list(c) for c in conditions]
        pseudo = {number: self._pseudo(x, t, self.words[number]) for number in _numbers(conditions)}
        texts = [self._text(own, pseudo) for own in rows]
        return self.base.predict_noise(x.repeat(len(conditions), 1, 1, 1), t, torch.cat(texts))

    def _pseudo(self, x: Tensor, t: Tensor, word: Word) -> Tensor:
        """S* at (x_t, t): [B, K, D]."""
        return word.expand(len(x), -1, -1) if isinstance(word, Tensor) else word(x, t)

    def _text(self, rows: Sequence[Condition], pseudo: dict[int, Tensor]) -> Tensor:
        """The text state [B, L, D] of B conditions that differ by their prompts alone."""
        condition, prompts = rows[0], [each.prompt for each in rows]
        if condition.photo is None:
            return self._plain(prompts)
        own = pseudo[condition.photo]
        if condition.blend == "position":
            return self.base.text(prompts, own, gamma=condition.gamma, as_tokens=self.as_tokens)
        joint = self.base.text(prompts, own, as_tokens=self.as_tokens)
        generic = self._plain([generic_prompt(prompt, self.generic) for prompt in prompts])
        return torch.lerp(generic, joint, condition.gamma)

    def _plain(self, prompts: Sequence[str]) -> Tensor:
        """Text states [B, L, D] without S*."""
        for prompt in dict.fromkeys(prompts):
            if prompt not in self.plain:
                self.plain[prompt] = self.base.text([prompt])
        if len(set(prompts)) == 1:
            return self.plain[prompts[0]].expand(len(prompts), -1, -1)
        return torch.cat([self.plain[prompt] for prompt in prompts])


def _numbers(conditions: Sequence[Conditions]) -> list[int]:
    """The words that conditions name; those of one batch differ by their prompts alone."""
    first = [each if isinstance(each, Condition) else each[0] for each in conditions]
    return sorted({each.photo for each in first if each.photo is not None})
