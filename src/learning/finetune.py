"""Fine-tuning on one person's photos, without regularisation (Zhou et al. 2023, fine-tuning)."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytorch_lightning as pl
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from src.diffusion import denoising_loss
from src.files import check_record, write_recorded
from src.learning.pretrain import draws_for, encode_photos, personal_noise_prediction
from src.models.base import TextToImage
from src.models.personal import attention_projections
from src.models.promptnet import PromptNet


@dataclass(frozen=True)
class Tuned:
    """A base and a PromptNet that were fine-tuned on somebody; the originals are untouched."""

    base: TextToImage
    promptnet: PromptNet

    def _trained(self) -> nn.ModuleDict:
        return nn.ModuleDict({"promptnet": self.promptnet, "projections": attention_projections(self.base.unet)})

    def save(self, path: Path) -> None:
        """One safetensors file with its SHA-256 beside it, whole or not there (OSError)."""
        write_recorded(path, save({name: value.contiguous() for name, value in self._trained().state_dict().items()}))

    def load(self, path: Path) -> "Tuned":
        """What `save` wrote, into these copies. ValueError for a damaged or foreign file."""
        check_record(path, "delete it to learn again")
        try:
            self._trained().load_state_dict(load_file(path))
        except (SafetensorError, RuntimeError) as error:
            raise ValueError(f"{path} is damaged or of another base ({error}): delete it to learn again") from error
        return self


def untuned(base: TextToImage, promptnet: PromptNet) -> Tuned:
    """Copies of what fine-tuning changes; the frozen parts are shared."""
    own = copy.copy(base)
    own._modules = dict(base._modules)
    own.unet = copy.deepcopy(base.unet)
    return Tuned(own, copy.deepcopy(promptnet))


class _Pairs(Dataset[Tensor]):
    """Numbers [2] of a reference and a target photo of one person: independent draws, a pure function of (seed, index).

    people: which person each photo shows.
    """

    def __init__(self, people: Sequence[int], length: int, seed: int):
        self.people, self.length, self.seed = list(people), length, seed

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Tensor:
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + index)
        reference = int(torch.randint(len(self.people), (), generator=generator))
        own = [photo for photo, person in enumerate(self.people) if person == self.people[reference]]
        target = own[int(torch.randint(len(own), (), generator=generator))]
        return torch.tensor([reference, target])


class FinetuneOnPhoto(pl.LightningModule):
    """The plain noise loss on a few photos; trains all of PromptNet and every q, k, v projection of the U-Net."""

    def __init__(
        self,
        tuned: Tuned,
        photos: Tensor,
        *,
        lr: float,
        weight_decay: float,
        prompt: str,
        low_third: float,
        seed: int,
    ):
        super().__init__()
        self._tuned = [tuned]  # in a list: no submodule
        self.photos = encode_photos(tuned.base, photos)
        self.promptnet, self.projections = tuned.promptnet, attention_projections(tuned.base.unet)
        self.lr, self.weight_decay = lr, weight_decay
        self.prompt, self.low_third, self.seed = prompt, low_third, seed

    def setup(self, stage: str) -> None:
        self._tuned[0].base.to(self.device)

    def training_step(self, batch: Tensor, batch_index: int) -> Tensor:
        loss = self._loss(batch)
        self._check(bool(loss.isfinite()), "loss", self.global_step + 1)
        self._last = batch
        return loss

    @torch.no_grad()
    def on_train_end(self) -> None:
        """What the last step made of the weights is looked at, too."""
        self._check(all(bool(p.isfinite().all()) for p in self.parameters()), "result", self.global_step)
        self._check(bool(self._loss(self._last).isfinite()), "loss of the result", self.global_step)

    def _check(self, finite: bool, what: str, step: int) -> None:
        if not finite:
            raise ValueError(
                f"the {what} of fine-tuning is not finite at step {step}: nothing of it is kept; lower "
                f"method.finetune.lr ({self.lr:g})"
            )

    def _loss(self, batch: Tensor) -> Tensor:
        base = self._tuned[0].base
        slots = range(len(batch))
        draws = draws_for(base, self.seed, self.global_step, slots, low_third=self.low_third, device=self.device)
        reference, target = ({k: v.to(self.device)[own] for k, v in self.photos.items()} for own in batch.T)
        predicted, _ = personal_noise_prediction(base, self.promptnet, reference, target, draws, self.prompt)
        return denoising_loss(predicted, draws["eps"])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.AdamW(self.parameters(), lr=self.lr, weight_decay=self.weight_decay)


@dataclass(frozen=True)
class Finetune:
    """How a person is learned. steps >= 1 optimiser steps of `batch` pairs; AdamW without clipping [code]."""

    steps: int
    lr: float
    batch: int = 4
    weight_decay: float = 0.01
    prompt: str = "a photo of S*"
    low_third: float = 1 / 3
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("steps", "batch"):
            if getattr(self, name) < 1:
                raise ValueError(f"method.finetune.{name} ({getattr(self, name)}) must be at least 1")
        if self.lr <= 0:
            raise ValueError(f"method.finetune.lr ({self.lr}) must be above 0")

    def __call__(
        self, base: TextToImage, promptnet: PromptNet, photos: Tensor, people: Sequence[int] | None = None
    ) -> Tuned:
        """photos: [P, 3, H, W] in [-1, 1], photos or their variants; people: whom each shows, None: one person."""
        people = [0] * len(photos) if people is None else people
        if len(people) != len(photos):
            raise ValueError(f"people ({list(people)}) must say whom each of {len(photos)} photos shows")
        tuned = untuned(base, promptnet)
        module = FinetuneOnPhoto(
            tuned,
            photos,
            lr=self.lr,
            weight_decay=self.weight_decay,
            prompt=self.prompt,
            low_third=self.low_third,
            seed=self.seed,
        )
        module.requires_grad_(True)
        loader = DataLoader(_Pairs(people, self.steps * self.batch, self.seed), batch_size=self.batch)
        device = next(base.parameters()).device
        trainer = pl.Trainer(
            max_steps=self.steps,
            accelerator=device.type,
            devices=1 if device.type == "cpu" else [device.index or 0],
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(module, loader)
        for part in (tuned.base, tuned.promptnet):  # Lightning leaves what it trained on the CPU
            part.requires_grad_(False).eval().to(device)
        return tuned
