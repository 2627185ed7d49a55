"""Pre-training on photos alone: of PromptNet (Zhou et al. 2023), or of another network that makes S*."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from src.diffusion import add_noise, denoising_loss, sent
from src.learning.checkpoints import check_architecture
from src.models.base import TextToImage
from src.models.promptnet import PromptNet

Draws = Mapping[str, Tensor]
# (reference, target, draws, prompt) -> eps [B, C, h, w], and what the penalty multiplies, 0-dim
Predict = Callable[[Draws, Draws, Draws, str], tuple[Tensor, Tensor]]
THIRDS = ("low", "middle", "high")


def slot_draws(
    seed: int,
    step: int,
    slots: Sequence[int],
    latent_shape: Sequence[int],
    *,
    num_timesteps: int,
    low_third: float,
) -> dict[str, Tensor]:
    """Timestep and noise for each slot of a global batch: a pure function of (seed, step, slot).

    `low_third` is the probability of a timestep in the lowest third of the noise range; 1/3 is uniform.
    Returns t [B] and standard normal eps, z_reference, z_target [B, C, h, w].
    """
    rows = []
    for slot in slots:
        generator = torch.Generator().manual_seed((seed * 1_000_003 + step) * 4_099 + slot)
        edge = num_timesteps // 3
        low = torch.rand((), generator=generator, dtype=torch.float32) < low_third
        first, last = (0, edge) if low else (edge, num_timesteps)
        t = torch.randint(first, last, (), generator=generator)
        rows.append((t, *torch.randn(3, *latent_shape, generator=generator, dtype=torch.float32)))
    t, eps, z_reference, z_target = (torch.stack(column) for column in zip(*rows, strict=True))
    return {"t": t, "eps": eps, "z_reference": z_reference, "z_target": z_target}


def draws_for(
    base: TextToImage, seed: int, step: int, slots: Sequence[int], *, low_third: float, device: torch.device
) -> dict[str, Tensor]:
    """`slot_draws` for the latents and timesteps of a base, on a device; the draws are the same on every device."""
    steps = len(base.alpha_bar)
    draws = slot_draws(seed, step, slots, base.latent_shape, num_timesteps=steps, low_third=low_third)
    return {name: sent(value, device) for name, value in draws.items()}


@torch.no_grad()
def latents_of(base: TextToImage, photos: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation [P, C, h, w] of the latents of photos [P, 3, H, W] in [-1, 1].

    Raises ValueError for photos of another size than the base draws.
    """
    if tuple(photos.shape[-2:]) != (base.image_size, base.image_size):
        raise ValueError(
            f"photos of {photos.shape[-2]}x{photos.shape[-1]} px do not fit a base of {base.image_size} px: "
            f"set data.train.size={base.image_size} and data.validation.size={base.image_size}"
        )
    return base.posterior(photos)


@torch.no_grad()
def encode_photos(base: TextToImage, photos: Tensor) -> dict[str, Tensor]:
    """What the frozen encoders make of photos: `latents_of` them as mean and std, and vision [P, N, Dv]."""
    mean, std = latents_of(base, photos)
    return {"mean": mean, "std": std, "vision": base.see(photos)}


def personal_noise_prediction(
    base: TextToImage, promptnet: PromptNet, reference: Draws, target: Draws, draws: Draws, prompt: str
) -> tuple[Tensor, Tensor]:
    """eps predicted at the noised target under "... S* ..." of the reference, and S* itself [B, K, D].

    reference, target: as `encode_photos` gives them; latents are posterior samples [code]. The text is not padded, as
    in the authors' pre-training.
    """
    x_ref = reference["mean"] + reference["std"] * draws["z_reference"]
    x_0 = target["mean"] + target["std"] * draws["z_target"]
    x_t = add_noise(x_0, draws["eps"], draws["t"], base.noise_levels)
    pseudo = promptnet(x_t, draws["t"], x_ref, reference["vision"])
    text = base.text([prompt] * len(x_t), pseudo, pad=False)
    return base.predict_noise(x_t, draws["t"], text), pseudo


def promptnet_prediction(base: TextToImage, promptnet: PromptNet) -> Predict:
    """`personal_noise_prediction` of these two, and the mean square of S*."""

    def predict(reference: Draws, target: Draws, draws: Draws, prompt: str) -> tuple[Tensor, Tensor]:
        predicted, pseudo = personal_noise_prediction(base, promptnet, reference, target, draws, prompt)
        return predicted, pseudo.square().mean()

    return predict


def by_thirds(losses: Tensor, t: Tensor, num_timesteps: int) -> Tensor:
    """Sum and number [3, 2] of the losses [B] in each third of the noise range."""
    third = torch.nn.functional.one_hot(3 * t // num_timesteps, 3).to(losses)  # [B, 3]
    return torch.stack([(third * losses[:, None]).sum(0), third.sum(0)], dim=1)  # no matmul: it would be autocast


def named_thirds(sums: Tensor) -> dict[str, float]:
    """The mean loss over all, and in each third of the noise range that was visited; sums as of `by_thirds`."""
    total, count = sums.sum(0).tolist()
    thirds = {name: row for name, row in zip(THIRDS, sums.tolist(), strict=True) if row[1]}
    return {"loss": total / count, **{f"loss_{name}_noise": row[0] / row[1] for name, row in thirds.items()}}


def check_finite(
    norm: Tensor, numbers: Tensor, losses: Tensor, step: int, names: Callable[[Sequence[int]], Sequence[str]]
) -> None:
    """Raise ValueError, naming the photos, unless the gradient's norm and all losses [B] of photos [B] are finite."""
    if bool(norm.isfinite() & losses.isfinite().all()):
        return
    bad = numbers[~losses.isfinite()]
    listed = ", ".join(names((bad if len(bad) else numbers).tolist()))
    raise ValueError(
        f"the {'loss' if len(bad) else 'gradient'} of photos {listed} is not finite at step {step}: that step was not "
        f"taken, and the last checkpoint is good; look at these photos, or lower learning.optimizer.lr"
    )


class Pretrain(pl.LightningModule):
    """E |eps - eps_theta(x_t, t, text("A photo of S*"))|^2 (Zhou et al. 2023); everything but `net` is frozen."""

    def __init__(
        self,
        *,
        base: TextToImage,
        net: Any,
        optimizer: Callable[[Any], torch.optim.Optimizer],
        predict: Callable[[TextToImage, Any], Predict] = promptnet_prediction,
        scheduler: Callable[[torch.optim.Optimizer], torch.optim.lr_scheduler.LRScheduler] | None = None,
        prompt: str = "a photo of S*",
        penalty: float = 0.0,
        low_third: float = 1 / 3,
        gradient_checkpointing: bool = False,
        seed: int = 0,
    ):
        """net: what is trained, and is part of what `predict` of (base, net) computes.
        penalty: lambda, 0 or more; PromptNet's |S*|^2 has one for the regularisation study alone.

        scheduler: of the learning rate, stepped after every optimiser step; None: constant, as in the paper.
        gradient_checkpointing: of the network and of the frozen U-Net, through which the gradients pass.
        """
        super().__init__()
        if penalty < 0:
            raise ValueError(f"penalty ({penalty}) must be 0 or more")
        # in a function: no submodule, so neither in checkpoints nor in train mode, nor copied for the average
        self._frozen = lambda: base
        self.net, self.optimizer, self.scheduler, self.prompt = net, optimizer, scheduler, prompt
        self.net.gradient_checkpointing = gradient_checkpointing
        if gradient_checkpointing:
            base.unet.enable_gradient_checkpointing()
        self._noise_prediction = predict(base, net)
        self.penalty, self.low_third, self.seed = penalty, low_third, seed
        self._losses: list[tuple[Tensor, Tensor]] = []  # numbers and losses of the photos of the step at hand
        self._sums = torch.zeros(3, 2)

    @property
    def base(self) -> TextToImage:
        return self._frozen()

    def setup(self, stage: str) -> None:
        self.base.to(self.device)

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        """All but the slots, of which the draws are made on the CPU."""
        moved = super().transfer_batch_to_device({**batch, "slot": None}, device, dataloader_idx)
        return {**moved, "slot": batch["slot"]}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        check_architecture(checkpoint["state_dict"], self.state_dict())

    def training_step(self, batch: Mapping[str, Tensor], batch_index: int) -> Tensor:
        predicted, square, draws = self._predict(batch, self.seed, self.global_step, self.low_third)
        loss = denoising_loss(predicted, draws["eps"])
        losses = _each(predicted.detach(), draws["eps"])
        self._losses.append((batch["id"], losses))
        self.log("train/loss", loss.detach(), prog_bar=True, sync_dist=True)
        self.log("train/pseudo_square", square.detach(), rank_zero_only=True)
        every: int = self.trainer.log_every_n_steps  # type: ignore[attr-defined]
        if (self.global_step + 1) % every == 0:  # to name the thirds waits for the device
            self._log_all("train", by_thirds(losses, draws["t"], len(self.base.alpha_bar)), rank_zero_only=True)
        return loss + self.penalty * square

    def configure_gradient_clipping(
        self, optimizer: Any, gradient_clip_val: float | None = None, gradient_clip_algorithm: str | None = None
    ) -> None:
        """Clips the norm of all gradients, which are the same on every device; a step that is not finite stops all."""
        most = float("inf") if gradient_clip_val is None else gradient_clip_val
        norm = torch.nn.utils.clip_grad_norm_(self.parameters(), most)
        seen = (self.all_gather(torch.cat(column)) for column in zip(*self._losses, strict=True))
        numbers, losses = (value.flatten() for value in seen)  # type: ignore[union-attr]
        self._losses.clear()
        check_finite(norm, numbers, losses, self.global_step + 1, self.trainer.datamodule.names)  # type: ignore[attr-defined]

    def validation_step(self, batch: Mapping[str, Tensor], batch_index: int) -> None:
        """The same draws at every validation, over the whole noise range."""
        predicted, _, draws = self._predict(batch, self.seed + 1, 0, 1 / 3)
        losses = _each(predicted, draws["eps"])
        self._sums = self._sums.to(losses) + by_thirds(losses, draws["t"], len(self.base.alpha_bar))

    def on_validation_epoch_end(self) -> None:
        sums = self.trainer.strategy.reduce(self._sums, reduce_op="sum")
        self._sums = torch.zeros(3, 2)
        if not sums.isfinite().all():  # before a checkpoint is written: the last step may have spoilt the weights
            raise ValueError(
                f"the validation loss is not finite at step {self.global_step}: nothing of that step is kept, and the "
                "last checkpoint is good; lower learning.optimizer.lr"
            )
        self._log_all("val", sums)

    def _predict(
        self, batch: Mapping[str, Tensor], seed: int, step: int, low_third: float
    ) -> tuple[Tensor, Tensor, Draws]:
        """eps predicted, what the penalty multiplies, and the draws."""
        photos = encode_photos(self.base, batch["image"]) if "image" in batch else batch
        slots = batch["slot"].tolist()
        draws = draws_for(self.base, seed, step, slots, low_third=low_third, device=self.device)
        return *self._noise_prediction(photos, photos, draws, self.prompt), draws

    def _log_all(self, what: str, sums: Tensor, **options: Any) -> None:
        for name, value in named_thirds(sums).items():
            if (what, name) != ("train", "loss"):
                self.log(f"{what}/{name}", value, batch_size=1, **options)

    def configure_optimizers(self) -> Any:
        optimizer = self.optimizer(self.net.parameters())
        if self.scheduler is None:
            return optimizer
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": self.scheduler(optimizer), "interval": "step"}}


def _each(predicted: Tensor, eps: Tensor) -> Tensor:
    """The loss of every photo [B]."""
    return (predicted - eps.to(predicted)).square().flatten(1).mean(1)
