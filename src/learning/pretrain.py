"""Pre-training of PromptNet on photos alone (Zhou et al. 2023, PromptNet)."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from src.diffusion import add_noise, denoising_loss
from src.models.base import TextToImage
from src.models.promptnet import PromptNet

Draws = Mapping[str, Tensor]


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
        low = torch.rand((), generator=generator) < low_third
        first, last = (0, edge) if low else (edge, num_timesteps)
        t = torch.randint(first, last, (), generator=generator)
        rows.append((t, *torch.randn(3, *latent_shape, generator=generator)))
    t, eps, z_reference, z_target = (torch.stack(column) for column in zip(*rows, strict=True))
    return {"t": t, "eps": eps, "z_reference": z_reference, "z_target": z_target}


@torch.no_grad()
def encode_photos(base: TextToImage, photos: Tensor) -> dict[str, Tensor]:
    """What the frozen encoders make of photos [P, 3, H, W] in [-1, 1]: posterior mean and std [P, C, h, w], vision."""
    mean, std = base.posterior(photos)
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


def by_thirds(eps_prediction: Tensor, eps: Tensor, t: Tensor, num_timesteps: int) -> dict[str, Tensor]:
    """The loss in each third of the noise range that the batch visits."""
    third = 3 * t // num_timesteps
    names = ("low", "middle", "high")
    return {
        f"loss_{name}_noise": denoising_loss(eps_prediction[third == k], eps[third == k]).detach()
        for k, name in enumerate(names)
        if (third == k).any()
    }


class PretrainPromptNet(pl.LightningModule):
    """E |eps - eps_theta(x_t, t, text("A photo of S*"))|^2 (Zhou et al. 2023); everything but PromptNet is frozen."""

    def __init__(
        self,
        *,
        base: TextToImage,
        promptnet: PromptNet,
        optimizer: Callable[[Any], torch.optim.Optimizer],
        prompt: str = "a photo of S*",
        penalty: float = 0.0,
        low_third: float = 1 / 3,
        gradient_checkpointing: bool = False,
        seed: int = 0,
    ):
        """penalty: lambda of the optional lambda |S*|^2, for the regularisation study alone; must be 0 or more."""
        super().__init__()
        if penalty < 0:
            raise ValueError(f"penalty ({penalty}) must be 0 or more")
        self._frozen = [base]  # in a list: no submodule, neither moved into checkpoints nor set to train mode
        self.promptnet, self.optimizer, self.prompt = promptnet, optimizer, prompt
        self.promptnet.gradient_checkpointing = gradient_checkpointing
        self.penalty, self.low_third, self.seed = penalty, low_third, seed

    @property
    def base(self) -> TextToImage:
        return self._frozen[0]

    def setup(self, stage: str) -> None:
        self.base.to(self.device)

    def training_step(self, batch: Tensor, batch_index: int) -> Tensor:
        first = self.global_rank * len(batch)
        draws = self._draws(self.seed, self.global_step, range(first, first + len(batch)), batch.device)
        photos = encode_photos(self.base, batch)
        predicted, pseudo = personal_noise_prediction(self.base, self.promptnet, photos, photos, draws, self.prompt)
        loss = denoising_loss(predicted, draws["eps"])
        self.log("train/loss", loss.detach(), prog_bar=True)
        self.log("train/pseudo_square", pseudo.square().mean().detach())
        for name, value in self._by_thirds(predicted, draws).items():
            self.log(f"train/{name}", value)
        return loss + self.penalty * pseudo.square().mean()

    def validation_step(self, batch: Tensor, batch_index: int) -> None:
        """The same draws at every validation, over the whole noise range."""
        draws = self._draws(self.seed + 1, batch_index, range(len(batch)), batch.device, low_third=1 / 3)
        photos = encode_photos(self.base, batch)
        predicted, _ = personal_noise_prediction(self.base, self.promptnet, photos, photos, draws, self.prompt)
        self.log("val/loss", denoising_loss(predicted, draws["eps"]), batch_size=len(batch))
        for name, value in self._by_thirds(predicted, draws).items():
            self.log(f"val/{name}", value, batch_size=len(batch))

    def _draws(self, seed: int, step: int, slots: Sequence[int], device: torch.device, **options: float) -> Draws:
        low_third = options.get("low_third", self.low_third)
        steps = len(self.base.alpha_bar)
        draws = slot_draws(seed, step, slots, self.base.latent_shape, num_timesteps=steps, low_third=low_third)
        return {name: value.to(device) for name, value in draws.items()}

    def _by_thirds(self, predicted: Tensor, draws: Draws) -> dict[str, Tensor]:
        return by_thirds(predicted, draws["eps"], draws["t"], len(self.base.alpha_bar))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return self.optimizer(self.promptnet.parameters())
