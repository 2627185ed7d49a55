"""Whether two devices compute the same: Fusion Sampling, a fine-tuning, and judges of the embedded world."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from src.learning.finetune import Finetune
from src.learning.tuned import Tuned, trained_of
from src.methods.drawing import Sampler
from src.methods.profusion import person_of
from src.models.base import TextToImage
from src.models.personal import PersonalNoise
from src.models.promptnet import PromptNet
from src.sampling import fusion_sample, seeded_randn_like

Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class World:
    """What is compared: a base and a PromptNet on a device, photos [P, 3, H, W] in [-1, 1] of one person each, the
    sampler, and one prompt with S*."""

    base: TextToImage
    promptnet: PromptNet
    photos: Tensor
    sampler: Sampler
    prompt: str


def of(world: World, tuned: Tuned) -> World:
    """The same world with what was learned in it."""
    return replace(world, base=tuned.base, promptnet=tuned.promptnet)


@torch.no_grad()
def trajectory(world: World, seeds: Sequence[int]) -> list[Tensor]:
    """x_t [B, C, h, w] at every call of the sampler, and the latents in the end; float32 on the CPU."""
    noise, seen = PersonalNoise(world.base, world.promptnet, world.photos[:1], generic=world.sampler.generic), []

    def watched(x: Tensor, t: Tensor, conditions: Any) -> Any:
        seen.append(x.float().cpu())
        return noise(x, t, conditions)

    sampler, randn_like = world.sampler, seeded_randn_like(seeds)
    x = randn_like(torch.empty(len(seeds), *world.base.latent_shape, device=world.photos.device))
    x = fusion_sample(
        watched,
        x,
        world.base.schedule(sampler.steps),
        joint=sampler.terms(sampler.joint, world.prompt, [1.0]),
        separate=sampler.terms(sampler.separate, world.prompt, [1.0]),
        fusion_steps=sampler.fusion_steps,
        fusion_eta=sampler.fusion_eta,
        eta=sampler.eta,
        randn_like=randn_like,
    )
    return [*seen, x.float().cpu()]


def apart(found: Sequence[Tensor], expected: Sequence[Tensor]) -> float:
    """The largest distance of two trajectories, at each of their points as a share of max |x|."""
    assert len(found) == len(expected), f"{len(found)} points against {len(expected)}"
    return max(float((a - b).abs().max() / b.abs().max()) for a, b in zip(found, expected, strict=True))


def learned(world: World, finetune: Finetune) -> tuple[Tuned, Tensor]:
    """The first photo's person, learned; and by how much that changed each trained weight [N], float32 on the CPU."""
    tuned = finetune(world.base, world.promptnet, world.photos[:1])
    pairs = zip(tuned.trained.parameters(), trained_of(world.base, world.promptnet).parameters(), strict=True)
    return tuned, torch.cat([(a.detach().float() - b.detach().float()).flatten().cpu() for a, b in pairs])


def images(world: World, tuned: Tuned, seeds: Sequence[int]) -> list[Tensor]:
    """Pictures uint8 [3, H, W] on the CPU, one a seed."""
    drawn = person_of(tuned, world.photos[:1], world.sampler)(world.prompt, seeds)
    return list(bytes_of(drawn))


def bytes_of(pictures: Tensor) -> Tensor:
    """[..., 3, H, W] in [-1, 1] -> uint8 on the CPU."""
    return ((pictures.float().clamp(-1, 1) + 1) * 127.5).round().byte().cpu()


def scores(judge: Any, kind: str, pictures: Sequence[Tensor], photo: Tensor, words: str) -> Tensor:
    """What a judge of text, identity or image thinks of pictures uint8 [3, H, W]: cosines [N].

    photo: uint8 [3, H, W]; words: the prompt, the subject named generically.
    """
    other = judge.say([words]) if kind == "text" else judge.see([photo])[0]
    return judge.compare(judge.see(pictures)[0], other).float().cpu()


def judged(
    judges: Mapping[str, Sequence[Any]],
    sides: tuple[Sequence[Tensor], Sequence[Tensor]],
    photo: Tensor,
    words: str,
    devices: tuple[str, str],
) -> tuple[Rows, list[str]]:
    """For every judge, how far its scores are apart on the two devices: of the very same pictures, and of each
    device's own; and which judges cannot be loaded here, with the reason.

    sides: the pictures that the first and the second device drew.
    """
    rows: Rows = []
    lacking = []
    for kind, judge in ((kind, judge) for kind, several in judges.items() for judge in several):
        try:
            first, same, own = (
                scores(_there(judge, device), kind, pictures, photo, words)
                for device, pictures in ((devices[0], sides[0]), (devices[1], sides[0]), (devices[1], sides[1]))
            )
        except ImportError as error:
            lacking.append(f"{judge.name} ({error})")
            continue
        for what, other in (("of the same pictures", same), ("each of its own pictures", own)):
            rows.append({"what": f"scores of {judge.name} {what}", "distance": float((first - other).abs().max())})
    return rows, lacking


def _there(judge: Any, device: str) -> Any:
    """The judge, its nets to be read anew on the device; those of ONNX stay on the CPU."""
    judge.release()
    judge.device = device
    return judge
