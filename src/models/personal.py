"""The noise prediction of a base under prompts in which S* stands for somebody: for a photo, or for a learned word."""

import copy
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

import torch
from diffusers.models.attention_processor import Attention
from torch import Tensor, nn

from src.models.base import TextToImage, compile_blocks, dtype_of
from src.models.promptnet import PromptNet
from src.models.prompts import PLACEHOLDER, generic_prompt
from src.models.recording import DeepReuse, Recording
from src.sampling import EXACT, NULL, Condition, Conditions, Shortcuts

# what S* stands for: a constant [K, D], or (x_t [B, C, h, w], t 0-dim) -> [B, K, D]
Word = Tensor | Callable[[Tensor, Tensor], Tensor]
Rows = tuple[Condition, ...]  # one condition for each row of a batch, which differ by their prompts alone
Key = tuple[int | None, tuple[str, ...], float]
RECORDINGS = 6  # kept at a time: those of one prompt, and of the last batch, which is smaller


def attention_projections(unet: nn.Module) -> nn.ModuleList:
    """The query, key and value projections of every self- and cross-attention: what fine-tuning trains of the U-Net."""
    attentions = [module for module in unet.modules() if isinstance(module, Attention)]
    return nn.ModuleList(linear for a in attentions for linear in (a.to_q, a.to_k, a.to_v))


def with_own_unet(base: TextToImage) -> TextToImage:
    """A copy of the base and of its U-Net's modules, whose tensors are the same ones."""
    own = copy.copy(base)
    own._modules = dict(base._modules)
    own.unet = copy.deepcopy(base.unet, {id(each): each for each in (*base.unet.parameters(), *base.unet.buffers())})
    return own


def drawn_with(base: TextToImage) -> TextToImage:
    """The base or, where its blocks are to be compiled, one with compiled modules of its own, which shares all tensors:
    the base itself stays as it is."""
    if not base.compiled:
        return base
    own = with_own_unet(base)
    compile_blocks(own.unet)
    return own


class PersonalNoise:
    """`noise(x, t, conditions)` for the samplers: each S* once, and ONE batched U-Net call.

    What depends on the run alone (photo latents, vision tokens, text states without S*) is computed once.
    Counted since `begin`, for each image of the batch: `unet_evaluations`, of which `shallow_evaluations` computed the
    level of full resolution alone; `promptnet_evaluations`; `text_evaluations`, of texts whose S* depends on x_t and t
    (the others are encoded once). Where the base says so, what a call queues on the GPU is recorded at the first and
    replayed at all others that ask for the same.
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
        self._moving = {number: word for number, word in enumerate(self.words) if not isinstance(word, Tensor)}
        self.constant: dict[Condition, Tensor] = {}
        self._recorded: dict[Any, Recording] = {}
        self.shortcuts = EXACT
        self.begin()

    def begin(self, shortcuts: Shortcuts = EXACT) -> None:
        """Before each draw: nothing is held of the one before, and evaluations are counted from 0.

        ValueError for shortcuts that hold something, on a base whose calls are recorded.
        """
        holds = shortcuts.word_every is not None or shortcuts.deep_every > 1
        if holds and self.base.recorded:
            raise ValueError("word_every and deep_every hold what a recorded call makes anew: draw without recording")
        if shortcuts.precision != self.shortcuts.precision:
            self.constant.clear()
        self.shortcuts, self._unet = shortcuts, DeepReuse(self.base.unet)
        self._predicting = self.base
        if shortcuts.deep_every > 1:
            self._predicting = copy.copy(self.base)
            self._predicting._modules = {**self.base._modules, "unet": self._unet}
        self.unet_evaluations = self.shallow_evaluations = 0
        self.promptnet_evaluations = self.text_evaluations = 0
        self._time: Tensor | None = None  # of the step that is at work, its own
        self._step = -1
        self._word_made, self._deep_made = dict[int, int](), dict[Any, int]()  # at which step
        self._pseudo, self._encoded, self._deep = dict[int, Tensor](), dict[Key, Tensor](), dict[Any, Tensor]()

    def __call__(self, x: Tensor, t: Tensor, conditions: Sequence[Conditions]) -> Sequence[Tensor]:
        """conditions: each of one kind for all rows of x, or one for each row, alike in all but their prompts."""
        if t is not self._time:
            self._step, self._time = self._step + 1, t
        rows = [(c,) * len(x) if isinstance(c, Condition) else c for c in conditions]
        asked_for = {own[0].photo for own in rows}
        fresh = [k for k in self._moving if k in asked_for and not self._recent(self._word_made, k, "word_every")]
        self._word_made |= dict.fromkeys(fresh, self._step)
        known = {key for key in self._encoded if key[0] not in fresh}
        self.unet_evaluations += len(rows) + self.word_evaluations * len(fresh)
        self.promptnet_evaluations += len(fresh) if self.promptnet is not None else 0
        self.text_evaluations += len({_key(own) for own in rows if self._moves(own)} - known)
        if not self.base.recorded:
            return self._predict(x, t, rows, fresh).chunk(len(rows))
        asked = (tuple(conditions), x.shape, self.shortcuts.precision)
        if asked not in self._recorded:
            if len(self._recorded) == RECORDINGS:
                self._recorded.clear()
            self._recorded[asked] = Recording(lambda x, t: self._predict(x, t, rows, fresh), (x, t))
        return self._recorded[asked](x, t).chunk(len(rows))

    def _moves(self, rows: Sequence[Condition]) -> bool:
        """Whether the S* of these conditions depends on x_t and t."""
        return rows[0].photo in self._moving

    def _recent(self, made: Mapping[Any, int], what: Any, setting: str) -> bool:
        """Whether something was made so few steps ago that it is used once more."""
        every = getattr(self.shortcuts, setting)
        return every is not None and what in made and self._step - made[what] < every

    def _predict(self, x: Tensor, t: Tensor, rows: Sequence[Rows], fresh: Sequence[int]) -> Tensor:
        """eps of all conditions [N * B, C, h, w]; the S* of `fresh` is made now."""
        with autocast_to(self.shortcuts.precision, x.device):
            self._pseudo |= {number: self._moving[number](x, t) for number in fresh}
            self._encoded = {key: state for key, state in self._encoded.items() if key[0] not in fresh}
            text = torch.cat([self._text(own) for own in rows])
            each = x.repeat(len(rows), 1, 1, 1)
            if self.shortcuts.deep_every == 1:
                return self.base.predict_noise(each, t, text)
            return self._reusing(each, t, text, [_place(rows, number) for number in range(len(rows))])

    def _reusing(self, x: Tensor, t: Tensor, text: Tensor, places: Sequence[Any]) -> Tensor:
        """eps, from deep levels that were computed in these places before, if all of them are recent."""
        reuses = all(self._recent(self._deep_made, place, "deep_every") for place in places)
        self._unet.deep = torch.cat([self._deep[place] for place in places]) if reuses else None
        eps = self._predicting.predict_noise(x, t, text)
        if reuses:
            self.shallow_evaluations += len(places)
        else:
            assert self._unet.deep is not None
            self._deep |= zip(places, self._unet.deep.chunk(len(places)), strict=True)
            self._deep_made |= dict.fromkeys(places, self._step)
        return eps

    def _promptnet_word(self, promptnet: PromptNet, photo: int, x: Tensor, t: Tensor) -> Tensor:
        """S* of a photo. A PromptNet without noise is shown the photo in the place of x_t."""
        x_ref = self.x_ref[photo].expand(len(x), -1, -1, -1)
        seen = x if promptnet.config["with_noise"] else x_ref
        return promptnet(seen, t, x_ref, self.vision[photo].expand(len(x), -1, -1))

    def _text(self, rows: Rows) -> Tensor:
        """The text state [B, L, D] of B conditions that differ by their prompts alone."""
        photo = rows[0].photo
        return (
            self._constant(rows)
            if photo is None or photo not in self._moving
            else self._state(rows, self._pseudo[photo])
        )

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
        joint = self._joint(rows, word)
        if condition.blend == "position":
            return joint
        generic = self._constant([Condition(generic_prompt(prompt, self.generic)) for prompt in prompts])
        return torch.lerp(generic, joint, condition.gamma)

    def _joint(self, rows: Sequence[Condition], word: Tensor) -> Tensor:
        """The text state [B, L, D] before it is interpolated; encoded once while the word, if it moves, is held."""
        called = [each.prompt.replace(PLACEHOLDER, self.called) for each in rows]
        key = _key(rows)
        if key not in self._encoded or not self._moves(rows):
            self._encoded[key] = self.base.text(called, word, gamma=key[2], as_tokens=self.as_tokens)
        return self._encoded[key]


def autocast_to(precision: str | None, device: torch.device) -> AbstractContextManager[Any]:
    """Autocast to a dtype by its name; nothing for None."""
    return nullcontext() if precision is None else torch.autocast(device.type, dtype_of(precision))


def _key(rows: Rows | Sequence[Condition]) -> Key:
    """What the text state of these conditions depends on beside their word, before it is interpolated."""
    first = rows[0]
    return first.photo, tuple(each.prompt for each in rows), first.gamma if first.blend == "position" else 1.0


def _place(rows: Sequence[Rows], number: int) -> Any:
    """Where a condition stands: the unconditional one is another beside others, that is in another stage."""
    return rows[number] if any(each.prompt for each in rows[number]) else (NULL, rows[-1])
