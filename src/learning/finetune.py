"""Fine-tuning on one person's photos, without regularisation (Zhou et al. 2023, fine-tuning)."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from src.diffusion import denoising_loss
from src.learning.pretrain import draws_for, encode_photos, personal_noise_prediction
from src.learning.steps import optimise
from src.learning.tuned import Tuned, untuned
from src.models.base import TextToImage, autocast_of
from src.models.promptnet import PromptNet


def _pair(people: Sequence[int], seed: int, index: int) -> Tensor:
    """Numbers [2] of a reference and a target photo of one person: independent draws, a pure function of (seed, index).

    people: which person each photo shows.
    """
    generator = torch.Generator().manual_seed(seed * 1_000_003 + index)
    reference = int(torch.randint(len(people), (), generator=generator))
    own = [photo for photo, person in enumerate(people) if person == people[reference]]
    target = own[int(torch.randint(len(own), (), generator=generator))]
    return torch.tensor([reference, target])


class FinetuneOnPhoto(nn.Module):
    """The plain noise loss on a few photos; what is trained are all of PromptNet and the U-Net's q, k, v projections.

    What the frozen encoders make of the photos is computed once. Half bases are run under autocast.
    """

    def __init__(self, tuned: Tuned, photos: Tensor, *, prompt: str, low_third: float, seed: int):
        super().__init__()
        self._base = [tuned.base]  # in a list: no submodule
        self.photos = encode_photos(tuned.base, photos)
        self.trained = tuned.trained
        self.prompt, self.low_third, self.seed = prompt, low_third, seed

    def training_step(self, batch: Tensor, step: int) -> Tensor:
        """The loss on pairs [B, 2] of a reference and a target photo, with the draws of this step."""
        (base,) = self._base
        device = base.device
        draws = draws_for(base, self.seed, step, range(len(batch)), low_third=self.low_third, device=device)
        reference, target = ({k: v[own] for k, v in self.photos.items()} for own in batch.T.to(device))
        promptnet: PromptNet = self.trained["promptnet"]  # type: ignore[assignment]
        with autocast_of(base.unet):
            predicted, _ = personal_noise_prediction(base, promptnet, reference, target, draws, self.prompt)
        return denoising_loss(predicted, draws["eps"])


@dataclass(frozen=True)
class Finetune:
    """How a person is learned. steps >= 1 optimiser steps of `batch` pairs; AdamW without clipping [code].

    Weights that are trained are float32, whatever the base's precision. gradient_checkpointing: activations are
    computed twice instead of kept; it changes no result.
    """

    steps: int
    lr: float
    batch: int = 4
    weight_decay: float = 0.01
    prompt: str = "a photo of S*"
    low_third: float = 1 / 3
    seed: int = 0
    gradient_checkpointing: bool = False

    def __post_init__(self) -> None:
        for name in ("steps", "batch"):
            if getattr(self, name) < 1:
                raise ValueError(f"method.finetune.{name} ({getattr(self, name)}) must be at least 1")
        if self.lr <= 0:
            raise ValueError(f"method.finetune.lr ({self.lr}) must be above 0")

    def __call__(
        self,
        base: TextToImage,
        promptnet: PromptNet,
        photos: Tensor,
        people: Sequence[int] | None = None,
        passing: Mapping[int, Path] | None = None,
    ) -> Tuned:
        """photos: [P, 3, H, W] in [-1, 1], photos or their variants; people: whom each shows, None: one person.
        passing: fewer steps -> the file for whom so many would have learned."""
        people = [0] * len(photos) if people is None else people
        if len(people) != len(photos):
            raise ValueError(f"people ({list(people)}) must say whom each of {len(photos)} photos shows")
        tuned = untuned(base, promptnet)
        module = FinetuneOnPhoto(tuned, photos, prompt=self.prompt, low_third=self.low_third, seed=self.seed)
        with _trainable(tuned, self.gradient_checkpointing), torch.enable_grad():
            saves = {steps: partial(tuned.save, path) for steps, path in (passing or {}).items()}
            self._train(module, people, saves)
        return tuned.rounded()

    def _train(self, module: FinetuneOnPhoto, people: Sequence[int], passing: Mapping[int, Callable[[], None]]) -> None:
        def loss_at(step: int) -> Tensor:
            slots = range(step * self.batch, (step + 1) * self.batch)
            return module.training_step(torch.stack([_pair(people, self.seed, slot) for slot in slots]), step)

        optimise(
            list(module.parameters()),
            loss_at,
            steps=self.steps,
            lr=self.lr,
            weight_decay=self.weight_decay,
            dtype=module._base[0].unet.dtype,
            setting="method.finetune.lr",
            passing=passing,
        )


@contextmanager
def _trainable(tuned: Tuned, gradient_checkpointing: bool) -> Iterator[None]:
    """While open, what is trained takes gradients; afterwards all is frozen and in eval mode, as before."""
    unet, promptnet = tuned.base.unet, tuned.promptnet
    tuned.trained.requires_grad_(True).train()
    promptnet.gradient_checkpointing = gradient_checkpointing
    if gradient_checkpointing:
        unet.enable_gradient_checkpointing()
    try:
        yield
    finally:
        for parameter in tuned.trained.parameters():
            parameter.grad = None
        tuned.trained.requires_grad_(False).eval()
        promptnet.gradient_checkpointing = False
        if gradient_checkpointing:
            unet.disable_gradient_checkpointing()
