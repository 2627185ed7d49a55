"""No step of a sampler or a training waits for a GPU: told on the meta device, by what would have to be waited for."""

import copy

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from src.learning.pretrain import draws_for, personal_noise_prediction
from src.models.base import TextToImage
from src.models.personal import PersonalNoise
from src.models.promptnet import PromptNet
from src.sampling import Condition, fusion_sample, seeded_randn_like

META = torch.device("meta")


class Watch(TorchDispatchMode):
    """Notes every copy to the device, and whether it waits for what is queued there; a value that is asked for fails
    on this device anyway."""

    def __init__(self):
        super().__init__()
        self.copies, self.waits = [], []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        copy_of = func is torch.ops.aten._to_copy.default and args[0].device.type == "cpu"
        if copy_of and torch.device(kwargs.get("device") or "cpu").type == "meta":
            self.copies.append(tuple(args[0].shape))
            self.waits += [] if kwargs.get("non_blocking") else self.copies[-1:]
        return func(*args, **kwargs)


def on_meta(base: TextToImage) -> tuple[TextToImage, PromptNet]:
    base = copy.deepcopy(base).to(META)
    widths = {"vision_width": base.image_encoder.config.hidden_size, "text_width": base.text_encoder.config.hidden_size}
    return base, PromptNet.from_unet(base.unet, **widths, pseudo_channels=4)


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
@torch.no_grad()
def test_a_sampler_queues_all_its_steps_without_waiting(tiny_base, prediction):
    base, promptnet = on_meta(tiny_base)
    base.prediction_type = prediction
    noise = PersonalNoise(base, promptnet, torch.empty(1, 3, base.image_size, base.image_size, device=META))
    joint = Condition("a photo of S* at the beach", photo=0, gamma=0.5)
    blended = Condition("a photo of S* at the beach", photo=0, gamma=0.5, blend="interpolate")
    generic = Condition("a photo of a person at the beach")

    def sample() -> None:
        fusion_sample(
            noise,
            torch.empty(2, *base.latent_shape, device=META),
            base.schedule(3),
            joint=[(joint, 2.0)],
            separate=[(blended, 2.0), (generic, 1.0)],
            fusion_steps=1,
            fusion_eta=1.0,
            eta=0.5,
            randn_like=seeded_randn_like([0, 1]),
        )

    sample()  # the prompts are sent once
    with Watch() as watch:
        sample()
    assert watch.waits == []
    assert set(watch.copies) == {(2, *base.latent_shape)}  # noise alone is sent: a step can be recorded


def test_a_training_step_is_queued_without_waiting(tiny_base):
    base, promptnet = on_meta(tiny_base)
    base.prediction_type = "v_prediction"
    photos = {name: torch.empty(2, *base.latent_shape, device=META) for name in ("mean", "std")}
    photos["vision"] = base.see(torch.empty(2, 3, base.image_size, base.image_size, device=META))

    def step() -> None:
        draws = draws_for(base, 0, 0, range(2), low_third=1 / 3, device=META)
        predicted, _ = personal_noise_prediction(base, promptnet, photos, photos, draws, "a photo of S*")
        predicted.square().mean().backward()

    step()
    with Watch() as watch:
        step()
    assert watch.waits == []


def test_what_would_wait_is_seen():
    with Watch() as watch:
        torch.zeros(3).to(META, non_blocking=True)
        assert watch.waits == []
        torch.zeros(3).to(META)
    assert watch.waits == [(3,)]


def test_what_a_validation_has_sent_serves_a_training(tiny_base):
    base = copy.deepcopy(tiny_base)
    base.prediction_type = "v_prediction"
    pseudo, x = torch.zeros(1, 1, 32, requires_grad=True), torch.zeros(1, *base.latent_shape)
    for mode in (torch.inference_mode(), torch.enable_grad()):
        with mode:
            text = base.text(["a photo of S* in the snow"], pseudo, gamma=0.5)
            loss = base.predict_noise(x, torch.tensor([3]), text).square().mean()
    loss.backward()
    assert pseudo.grad.abs().max() > 0
