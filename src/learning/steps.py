"""Learning in a minute: photos encoded once, and a plain loop; there is nothing to log, to validate or to resume."""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from src.diffusion import add_noise
from src.learning.pretrain import draws_for, latents_of
from src.models.base import TextToImage

AT_ONCE = 8  # photos: the autoencoder's first map of 200 class images of 512 px is 13 GB in half precision
# a power of two, so that it changes no digit: gradients of float16 activations would be 0 without it
LOSS_SCALE = {torch.float16: 2.0**12}


def training_bytes(numbers: int, dtype: torch.dtype) -> int:
    """What `optimise` holds for so many trained weights: they in float32 or better, their gradients, AdamW's two
    moments and, beside a half base, what autocast makes of them."""
    wide = torch.promote_types(dtype, torch.float32).itemsize
    return numbers * (4 * wide + (dtype.itemsize if dtype.itemsize < wide else 0))


class NoisedPhotos:
    """Photos [P, 3, H, W] in [-1, 1] in turn, each at a noise that is a pure function of (seed, step, slot).

    slots: numbers of a step's draws, as many as photos of a step.
    """

    def __init__(self, base: TextToImage, photos: Tensor, *, slots: range, seed: int):
        self.base, self.slots, self.seed = base, slots, seed
        encoded = [latents_of(base, part) for part in photos.split(AT_ONCE)]
        self.mean, self.std = (torch.cat(column) for column in zip(*encoded, strict=True))

    def __call__(self, step: int) -> tuple[Tensor, Tensor, Tensor]:
        """x_t [B, C, h, w], t [B] and the eps [B, C, h, w] in it."""
        base, size = self.base, len(self.slots)
        draws = draws_for(base, self.seed, step, self.slots, low_third=1 / 3, device=base.device)
        photo = torch.arange(step * size, (step + 1) * size).remainder(len(self.mean)).to(base.device)
        x_0 = self.mean[photo] + self.std[photo] * draws["z_target"]
        return add_noise(x_0, draws["eps"], draws["t"], base.noise_levels), draws["t"], draws["eps"]


def optimise(
    trained: Sequence[nn.Parameter],
    loss_at: Callable[[int], Tensor],
    *,
    steps: int,
    lr: float,
    weight_decay: float,
    dtype: torch.dtype,
    setting: str,
    passing: Mapping[int, Callable[[], None]] | None = None,
) -> None:
    """AdamW without clipping. loss_at(step): a scalar, for steps in [0, `steps`], the last to look at the result.

    dtype: of the frozen base. setting: where `lr` is set.
    passing: numbers of steps below `steps` -> what is done when so many are taken, which is then as it would be if
    they were all. Raises ValueError for a loss, or a result, that is not finite.
    """
    fused = trained[0].device.type in ("cpu", "cuda") or None
    optimizer = torch.optim.AdamW(trained, lr=lr, weight_decay=weight_decay, fused=fused)
    scale, remedy = LOSS_SCALE.get(dtype, 1.0), f"lower {setting} ({lr:g})"
    finite: list[Tensor] = []  # looked at once, in the end: nobody waits for a step
    for step in range(steps):
        optimizer.zero_grad(set_to_none=True)
        loss = loss_at(step)
        finite.append(loss.detach().isfinite())
        if passing and step in passing:
            _check([*finite, _all_finite(trained)], step, remedy)
            passing[step]()
        (loss * scale).backward()
        if scale != 1:
            torch._foreach_div_([p.grad for p in trained if p.grad is not None], scale)
        optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    with torch.no_grad():  # what the last step made of the weights is looked at, too
        finite.append(loss_at(steps).isfinite())
        finite.append(_all_finite(trained))
    _check(finite, steps, remedy)


def _all_finite(trained: Sequence[nn.Parameter]) -> Tensor:
    return torch.stack([parameter.isfinite().all() for parameter in trained]).all()


def _check(seen: Sequence[Tensor], steps: int, remedy: str) -> None:
    """ValueError at the first loss, or for a result, that is not finite; seen: bool, steps + 1 losses and a result."""
    finite = torch.stack(list(seen))
    if finite.is_meta or bool(finite.all()):  # meta tensors hold no numbers
        return
    step = int((~finite).nonzero()[0, 0])
    what = "result" if step >= steps else "loss"
    raise ValueError(
        f"the {what} of learning somebody is not finite at step {min(step + 1, steps)}: nothing of it is kept; {remedy}"
    )
