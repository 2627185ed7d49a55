"""The paper's scale: what pre-training, learning a person and sampling cost on a device, with weights of any kind."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from statistics import median
from typing import Any

import torch
from torch import Tensor

from src.benchmarks.clock import cleared, flops_of, peak_gib, seconds_of
from src.benchmarks.step import bare_seconds, bare_step, training_seconds
from src.learning.finetune import Finetune
from src.learning.pretrain import Pretrain, draws_for, encode_photos
from src.learning.tuned import Tuned
from src.methods.drawing import Person, Sampler
from src.models.base import TextToImage
from src.models.promptnet import PromptNet
from src.models.recording import Recording

Row = dict[str, Any]
Bare = Callable[[int], float]  # what `bare_unet` gives
PROMPT = "a photo of S* at the beach"
REPEATS = 5  # of a bare U-Net evaluation


def bare_unet(base: TextToImage, device: torch.device) -> Bare:
    """Batch -> seconds of one evaluation of the U-Net alone, without gradients; each batch is measured once."""

    @cache
    @torch.no_grad()
    def seconds(batch: int) -> float:
        x = torch.randn(batch, *base.latent_shape, device=device)
        t, text = torch.full((), 500, device=device), base.text(["a person"]).expand(batch, -1, -1)

        def evaluate(x: Tensor) -> Tensor:
            return base.predict_noise(x, t, text)

        act = Recording(evaluate, [x]) if base.recorded else evaluate
        seconds_of(lambda: act(x), device, 2)
        return seconds_of(lambda: act(x), device, REPEATS)

    return seconds


def random_photos(base: TextToImage, count: int, device: torch.device) -> Tensor:
    """Noise [count, 3, H, W] in [-1, 1] of the base's own size."""
    generator = torch.Generator().manual_seed(0)
    return (torch.rand(count, 3, base.image_size, base.image_size, generator=generator) * 2 - 1).to(device)


def training_items(base: TextToImage, batch: int, cached: bool, device: torch.device) -> list[dict[str, Tensor]]:
    """Photos on the CPU, or what a latent cache holds of them."""
    photos = random_photos(base, batch, device)
    return encoded_items(base, photos) if cached else [{"image": photo} for photo in photos.cpu()]


def encoded_items(base: TextToImage, photos: Tensor) -> list[dict[str, Tensor]]:
    """What a latent cache would hold of photos [B, 3, H, W], on the CPU."""
    encoded = {name: value.cpu() for name, value in encode_photos(base, photos).items()}
    return [{name: value[k] for name, value in encoded.items()} for k in range(len(photos))]


def training_flops(module: Pretrain, cached: bool, device: torch.device) -> int:
    """Floating-point operations that a training step needs for one photo; what is computed twice counts once.

    Before gradient checkpointing is switched on.
    """
    photos = random_photos(module.base, 1, device)
    batch = encode_photos(module.base, photos) if cached else {"image": photos}
    draws = draws_for(module.base, 0, 0, range(1), low_third=1 / 3, device=device)
    module.to(device).train()
    with torch.autocast(device.type, torch.bfloat16):
        flops = flops_of(lambda: bare_step(module, batch, draws))
    module.net.zero_grad(set_to_none=True)
    return flops


def pretraining(
    build: Callable[..., Pretrain],
    base: TextToImage,
    tries: Sequence[Mapping[str, Any]],
    *,
    steps: int,
    device: torch.device,
    peak_flops: float | None,
    bare: Bare,
    **settings: Any,
) -> Iterator[Row]:
    """A row for each of `tries`, {cached, gradient_checkpointing, batch}: images a second, peak, share of the card's.

    build: keyword arguments of Pretrain -> a new one on `base`. A batch that does not fit is halved.
    settings: of src.learning.trainer.Trainer.
    """
    flops = {}
    for cached in {one["cached"] for one in tries}:
        base.unet.disable_gradient_checkpointing()
        flops[cached] = training_flops(build(gradient_checkpointing=False), cached, device)
    for one in tries:
        base.unet.disable_gradient_checkpointing()
        row = _largest(build, one, steps, device, **settings)
        rate = row["images_per_second"] * flops[one["cached"]]
        yield {
            "inputs": "latent cache" if one["cached"] else "photos",
            "checkpointing": "yes" if one["gradient_checkpointing"] else "no",
            **row,
            "tflop_per_image": flops[one["cached"]] / 1e12,
            "tflops": rate / 1e12,
            "share_of_peak": rate / peak_flops if peak_flops else None,
            "to_bare_unet": row["step_seconds"] / bare(row["batch"]),
        }


def _largest(
    build: Callable[..., Pretrain], one: Mapping[str, Any], steps: int, device: torch.device, **settings: Any
) -> Row:
    """The training with the largest batch that fits, halved from the one that is asked for."""
    refused: list[int] = []
    for batch in (one["batch"] >> halvings for halvings in range(one["batch"].bit_length())):
        cleared(device)
        try:
            return {**_trained(build, {**one, "batch": batch}, steps, device, **settings), "did_not_fit": refused}
        except torch.OutOfMemoryError:
            refused.append(batch)
    raise ValueError(f"not even one photo fits into the memory of {device} with {dict(one)}")


def _trained(
    build: Callable[..., Pretrain], one: Mapping[str, Any], steps: int, device: torch.device, **settings: Any
) -> Row:
    """The training as it is, and its bare forward and backward."""
    module = build(gradient_checkpointing=one["gradient_checkpointing"])
    items = training_items(module.base, one["batch"], one["cached"], device)
    bare = median(sum(parts.values()) for parts in bare_seconds(module, items, 2, settings["precision"]))
    step = median(training_seconds(module, items, steps, accelerator=device.type, **settings))
    return {
        "batch": one["batch"],
        "images_per_second": one["batch"] / step,
        "step_seconds": step,
        "to_bare_step": step / bare,
        "peak_gib": peak_gib(device),
    }


def learning(
    base: TextToImage, promptnet: PromptNet, finetune: Finetune, photos: int, device: torch.device, bare: Bare
) -> tuple[Row, Tuned]:
    """One person of so many photos, learned: all of it, from copying the U-Net to the last step."""
    own = random_photos(base, photos, device)
    found: list[Tuned] = []
    cleared(device)
    seconds = seconds_of(lambda: found.append(finetune(base, promptnet, own)), device)
    needed = finetune.steps * bare(finetune.batch)
    row = {"steps": finetune.steps, "batch": finetune.batch, "photos": photos, "seconds": seconds}
    return {**row, "peak_gib": peak_gib(device), "to_bare_unet": seconds / needed}, found.pop()


def sampling(person: Person, name: str, sampler: Sampler, batch: int, bare: Bare) -> Row:
    """Seconds an image of `batch` seeds drawn at once, after two steps that are told apart ("warm_up")."""
    prompt, seeds, device = PROMPT, range(batch), person.base.device
    person.sampler = replace(sampler, steps=2)
    warm_up = seconds_of(lambda: person(prompt, seeds), device)
    cleared(device)
    person.sampler = sampler
    seconds = seconds_of(lambda: person(prompt, seeds), device)
    needed = sum(calls * bare(conditions * batch) for conditions, calls in calls_of(sampler).items())
    return {
        "sampler": name,
        "batch": batch,
        "steps": sampler.steps,
        "evaluations": person.unet_evaluations,
        "seconds_per_image": seconds / batch,
        "to_bare_unet": seconds / needed,
        "peak_gib": peak_gib(device),
        "warm_up": warm_up,
    }


def calls_of(sampler: Sampler) -> dict[int, int]:
    """How often the U-Net is called with how many conditions at once, for one photo."""
    calls: dict[int, int] = {}
    stages = [(sampler.joint, sampler.steps * sampler.fusion_steps), (sampler.separate, sampler.steps)]
    for rows, times in stages:
        conditions = 1 + len(sampler.terms(rows, "S*", [1.0]))
        if times:
            calls[conditions] = calls.get(conditions, 0) + times
    return calls
