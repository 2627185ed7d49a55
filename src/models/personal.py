"""The noise prediction of a base under prompts in which S* stands for somebody: for a photo, or for a learned word."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from diffusers.models.attention_processor import Attention
from torch import Tensor, nn

from src.models.base import TextToImage
from src.models.promptnet import PromptNet
from src.models.prompts import PLACEHOLDER, generic_prompt
from src.models.recording import Recording
from src.sampling import Condition, Conditions

# what S* stands for: a constant [K, D], or (x_t [B, C, h, w], t 0-dim) -> [B, K, D]
Word = Tensor | Callable[[Tensor, Tensor], Tensor]
RECORDINGS = 6  # kept at a time: those of one prompt, and of the last batch, which is smaller


def attention_projections(unet: nn.Module) -> nn.ModuleList:
    """The query, key and value projections of every self- and cross-attention: what fine-tuning trains of the U-Net."""
    attentions = [module for module in unet.modules() if isinstance(module, Attention)]
    return nn.ModuleList(linear for a in attentions for linear in (a.to_q, a.to_k, a.to_v))


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
        called: str = PLACEHOLDER,
        generic: str = "a person",
    ):
        """What a condition's `photo` counts: photos [P, 3, H, W] in [-1, 1] that `promptnet` makes words of, or `words`
        made otherwise. as_tokens: these are token embeddings (src.models.prompts.encode). word_evaluations: of the
        U-Net, that each of them costs. called: how a prompt names who is S*, "S* person" say. generic: the noun that
        names them in the interpolation of gamma."""
        self.base, self.promptnet, self.generic = base, promptnet, generic
        self.as_tokens, self.word_evaluations, self.called = as_tokens, word_evaluations, called
        self.words = list(words)
        if promptnet is not None and photos is not None:
            self.x_ref, self.vision = base.encode(photos), base.see(photos)
            self.words = [partial(self._promptnet_word, promptnet, photo) for photo in range(len(photos))]
        self.constant: dict[Condition, Tensor] = {}
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
        made = {number: self.words[number] for number in _numbers(conditions)}
        pseudo = {number: word(x, t) for number, word in made.items() if not isinstance(word, Tensor)}
        texts = [self._text(own, pseudo) for own in rows]
        return self.base.predict_noise(x.repeat(len(conditions), 1, 1, 1), t, torch.cat(texts))

    def _promptnet_word(self, promptnet: PromptNet, photo: int, x: Tensor, t: Tensor) -> Tensor:
        """S* of a photo. A PromptNet without noise is shown the photo in the place of x_t."""
        x_ref = self.x_ref[photo].expand(len(x), -1, -1, -1)
        seen = x if promptnet.config["with_noise"] else x_ref
        return promptnet(seen, t, x_ref, self.vision[photo].expand(len(x), -1, -1))

    def _text(self, rows: Sequence[Condition], pseudo: dict[int, Tensor]) -> Tensor:
        """The text state [B, L, D] of B conditions that differ by their prompts alone."""
        photo = rows[0].photo
        return self._state(rows, pseudo[photo]) if photo in pseudo else self._constant(rows)

    def _constant(self, rows: Sequence[Condition]) -> Tensor:
        """Text states [B, L, D] that are the same at every (x_t, t): without S*, or with one that is constant."""
        for row in dict.fromkeys(rows):
            if row not in self.constant:
                word = None if row.photo is None else self.words[row.photo]
                self.constant[row] = self._state([row], word[None] if isinstance(word, Tensor) else None)
        if len(set(rows)) == 1:
            return self.constant[rows[0]].expand(len(rows), -1, -1)
        return torch.cat([self.constant[row] for row in rows])

    def _state(self, rows: Sequence[Condition], word: Tensor | None) -> Tensor:
        """The text state [B, L, D] of B conditions that differ by their prompts alone, under a word [B, K, D]."""
        condition, prompts = rows[0], [each.prompt for each in rows]
        if word is None:
            return self.base.text(prompts)
        called = [prompt.replace(PLACEHOLDER, self.called) for prompt in prompts]
        if condition.blend == "position":
            return self.base.text(called, word, gamma=condition.gamma, as_tokens=self.as_tokens)
        joint = self.base.text(called, word, as_tokens=self.as_tokens)
        generic = self._constant([Condition(generic_prompt(prompt, self.generic)) for prompt in prompts])
        return torch.lerp(generic, joint, condition.gamma)


def _numbers(conditions: Sequence[Conditions]) -> list[int]:
    """The words that conditions name; those of one batch differ by their prompts alone."""
    first = [each if isinstance(each, Condition) else each[0] for each in conditions]
    return sorted({each.photo for each in first if each.photo is not None})
