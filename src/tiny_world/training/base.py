"""Training of the embedded world's base: U-Net, text encoder and names together, on captioned pictures."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from src.diffusion import Schedule
from src.learning.pretrain import by_thirds
from src.tiny_world.generator import new_base
from src.tiny_world.names import encode_named, noun_of
from src.tiny_world.renderer.scenes import STYLES
from src.tiny_world.training.checkpoints import kept_tokenizer, load_vae
from src.tiny_world.training.corpus import NOUN, Latents, Wordings, known_traits, word_ids
from src.tiny_world.training.loop import Budget, Descent, fit, mixed
from src.tiny_world.training.pictures import Pictures
from src.tiny_world.training.probe import Probe
from src.tiny_world.training.processes import share

EMPTY = 0.1  # of the captions are empty
NOT_PHOTO = 1.5  # how often a picture that is no photo is shown, for a photo's once


def shown_states(text: Tensor, ids: Tensor, end_id: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """What the U-Net may read: text states [B, L, D] and which of them it sees, bool [B, L].

    Half of the captions show their words alone, an eighth their words and the end token, the rest everything; end token
    and pads are another caption's, and therefore say nothing that can be trusted. A U-Net that lives on them does not
    read words where they stand (gate 4 of the world). No word of the other caption is shown, however long it is: a
    U-Net that sees words of somebody else's picture trusts none.
    """
    draw = torch.rand(len(ids), 1, generator=generator, device=ids.device)
    end = (ids == end_id).int().argmax(1, keepdim=True)
    position = torch.arange(ids.shape[1], device=ids.device)
    mask = (position < end) | ((draw > 1 / 2) & (position == end)) | (draw > 5 / 8)
    from_other = (position + end.roll(1, 0) - end).clamp(0, ids.shape[1] - 1)  # its end token where this one's is
    other = text.roll(1, 0).take_along_dim(from_other[..., None], 1)
    return torch.where((position >= end)[..., None], other, text), mask


def loss_weights(alpha_bar: Tensor) -> Tensor:
    """Weights of the noise loss [T]: Min-SNR (gamma = 5; Hang et al. 2023) where there is little noise; up to eight
    where there is much, since what a caption decides, place and style, is hardly seen in the plain loss there."""
    snr = (alpha_bar / (1 - alpha_bar)).float()
    return snr.clamp(max=5) / snr * (1 + 1 / snr).clamp(max=8)


def named_states(text_encoder: Any, ids: Tensor, names: Tensor, at: Tensor) -> Tensor:
    """Text states [B, L, D] in which who it is can be trusted at the name's own position alone.

    In the first half of the batch all other positions say another person's name, which leaked into them. The encoder
    is causal: a U-Net that reads people from the words after a name leaves gamma nothing to scale (gate 4).
    """
    half = len(ids) // 2
    foreign = names[:half].roll(1, 0)
    states = encode_named(
        text_encoder, torch.cat([ids, ids[:half]]), torch.cat([names, foreign]), torch.cat([at, at[:half]])
    )
    own, other = states[: len(ids)], states[len(ids) :]
    position = torch.arange(ids.shape[1], device=ids.device)
    mixed_up = torch.where((position == at[:half, None])[..., None], own[:half], other)
    return torch.cat([mixed_up, own[half:]])


def shown_shares(styles: Tensor) -> Tensor:
    """Cumulated shares [count] by which pictures are shown: those that are no photo more often."""
    weight = torch.where(styles == STYLES.index("photo"), 1.0, NOT_PHOTO).double()
    return (weight / weight.sum()).cumsum(0)


def _laid_out(net: Any, device: torch.device, compiled: bool) -> Any:
    if device.type == "cuda":
        net["unet"].to(memory_format=torch.channels_last)
    if compiled:
        net["unet"].compile()
    return net


def train_base(
    cache: Path,
    *,
    budget: Budget,
    device: torch.device,
    pictures: Mapping[str, Any],
    batch: int = 128,
    lr: float = 6e-4,
    compiled: bool = False,
    seed: int = 2,
) -> dict[str, Any]:
    """U-Net, text encoder and names together; weighted noise loss, 10 % empty captions. pictures: {"count",
    "per_person"}. batch: of all processes together. compiled: the U-Net by torch.compile."""
    mine, drawn = share(batch), Pictures(cache, first=0, **pictures)
    tokenizer = kept_tokenizer(cache)
    latents, wordings = Latents(cache, drawn, device), Wordings(cache, drawn, tokenizer, device)
    people, shares = known_traits(cache, drawn, device), shown_shares(wordings.style)
    empty = tokenizer("", padding="max_length", return_tensors="pt").input_ids.to(device)
    noun_id, end_id = word_ids(tokenizer)[NOUN], tokenizer.eos_token_id
    alpha_bar = Schedule.ddim(50).alpha_bar
    alpha_bar, weights = alpha_bar.float().to(device), loss_weights(alpha_bar).to(device)

    def loss(net: Any, generator: torch.Generator) -> tuple[Tensor, Mapping[str, Tensor]]:
        draw = torch.rand(2, mine, generator=generator, device=device, dtype=torch.float64)
        index = torch.searchsorted(shares, draw[0]).clamp(max=drawn.count - 1)
        ids, at = wordings.sample(index, generator)
        silent = draw[1] < EMPTY
        ids, at = torch.where(silent[:, None], empty, ids), torch.where(silent, 0, at)
        x_0 = latents.sample(index, generator)
        eps = torch.randn(x_0.shape, generator=generator, device=device)
        t = torch.randint(len(alpha_bar), (mine,), generator=generator, device=device)
        level = alpha_bar[t].view(-1, 1, 1, 1)
        x_t = level.sqrt() * x_0 + (1 - level).sqrt() * eps
        with mixed(device):
            names = net["names"](people[index // drawn.per_person], noun_of(net["text_encoder"], noun_id))
            states = named_states(net["text_encoder"], ids, names, at)
            text, mask = shown_states(states, ids, end_id, generator)
            error = net["unet"](x_t, t, text, encoder_attention_mask=mask).sample.float() - eps
        each = error.square().mean((1, 2, 3))
        sums = by_thirds(each.detach(), t, len(alpha_bar))
        thirds = {f"third_{k}": loss / number.clamp(min=1) for k, (loss, number) in enumerate(sums)}
        return (each * weights[t]).mean(), thirds

    torch.manual_seed(seed)
    net, probe = _laid_out(new_base(tokenizer), device, compiled), Probe(load_vae(cache), tokenizer, device)
    descent = Descent(lr, decay_from=0.5, muon=True)
    how: dict[str, Any] = {"device": device, "draws": device, "seed": seed, "descent": descent}
    report = fit(net, loss, checkpoint=cache / "base.pt", budget=budget, probe=probe, **how)
    report |= {"batch": batch, "processes": batch // mine}  # each process draws its own share
    return report | {"pictures_seen": batch * report["steps"], "pictures_drawn": drawn.count}
