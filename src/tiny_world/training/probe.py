"""Does a base in training read names? What its log lines say of it, at every one."""

from typing import Any

import torch
from torch import Tensor

from src.diffusion import Schedule, add_noise
from src.tiny_world.names import encode_named, noun_of, traits_of
from src.tiny_world.photos import pictures
from src.tiny_world.renderer.people import SPLITS
from src.tiny_world.renderer.scenes import scene_for
from src.tiny_world.training.corpus import NOUN
from src.tiny_world.training.loop import mixed

PROBED = (100, 300, 500, 700, 900)  # timesteps of the probe


class Probe:
    """The noise loss of unseen people's photos under their own name, another's, and none."""

    def __init__(self, vae: Any, tokenizer: Any, device: torch.device, people: int = 64):
        chosen = SPLITS["validation"][4000 : 4000 + people]
        photos = pictures((seed, scene_for(seed, style="photo")) for seed in chosen)
        with torch.no_grad():
            self.x_0 = (vae.config.scaling_factor * vae.encode(photos).latent_dist.mean).to(device)
        self.eps = torch.randn(self.x_0.shape, generator=torch.Generator().manual_seed(0)).to(device)
        self.traits = traits_of(chosen).to(device)
        ids = tokenizer(f"a photo of {NOUN}", padding="max_length", return_tensors="pt").input_ids.to(device)
        self.ids, self.end = ids.expand(people, -1), 5
        self.noun_id, self.schedule = int(ids[0, 4]), Schedule.ddim(50)

    @torch.no_grad()
    def __call__(self, net: Any) -> dict[str, float]:
        """Losses, means over people and PROBED timesteps: own, other, generic; and own over other at t = 500."""
        noun = noun_of(net["text_encoder"], self.noun_id)
        own = net["names"](self.traits, noun)
        names = {"own": own, "other": own.roll(1, 0), "generic": noun.expand_as(own)}
        losses = {name: self._losses(net, words) for name, words in names.items()}
        middle = PROBED.index(500)
        means = {name: sum(each) / len(each) for name, each in losses.items()}
        return means | {"own_over_other_500": losses["own"][middle] / losses["other"][middle]}

    def _losses(self, net: Any, names: Tensor) -> list[float]:
        at = torch.full((len(names),), 4, device=names.device)
        losses = []
        with mixed(names.device):
            text = encode_named(net["text_encoder"], self.ids, names, at)
            seen = (torch.arange(text.shape[1], device=text.device) < self.end).expand(len(text), -1)
            for t in PROBED:
                steps = torch.full((len(names),), t, device=names.device)
                x_t = add_noise(self.x_0, self.eps, t, self.schedule)
                # past what may have been compiled for the training's own shapes
                noise = net["unet"].forward(x_t, steps, text, encoder_attention_mask=seen).sample.float()
                losses.append(float((noise - self.eps).square().mean()))
        return losses
