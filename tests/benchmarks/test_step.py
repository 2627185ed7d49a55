"""The benchmark measures what a training does: every part, the same gradients, and a time that adds up."""

import time

import pytest
import torch

from src.benchmarks.step import bare_step, measure
from src.learning.pretrain import encode_photos, slot_draws
from tests.learning.conftest import learner, photos

__all__ = ["photos"]  # a fixture
PARTS = ["PromptNet forward", "text encoder forward", "U-Net forward"]
PARTS += ["U-Net backward", "text encoder backward", "PromptNet backward"]


def draws_for(base, count):
    return slot_draws(0, 0, range(count), base.latent_shape, num_timesteps=1000, low_third=1 / 3)


def test_the_bare_step_takes_the_trainings_gradients_and_times_every_part(tiny_base, photos):
    images = photos.tensors[0][:3]
    modules = [learner(tiny_base).train() for _ in range(2)]
    seconds = bare_step(modules[0], {"image": images}, draws_for(tiny_base, 3))
    assert list(seconds) == ["VAE", "vision encoder", *PARTS]
    assert list(bare_step(modules[1], encode_photos(tiny_base, images), draws_for(tiny_base, 3))) == PARTS
    modules[1].log = lambda *args, **kwargs: None
    gradient = modules[0].net.conv_in.weight.grad.clone()
    torch.testing.assert_close(modules[1].net.conv_in.weight.grad, gradient, rtol=1e-4, atol=1e-6)
    assert gradient.abs().max() > 0


def test_time_spent_in_a_part_is_seen_in_it(tiny_base, photos):
    module = learner(tiny_base).train()
    hook = module.net.mid_block.register_forward_pre_hook(lambda *args: time.sleep(0.3))
    seconds = bare_step(module, {"image": photos.tensors[0][:1]}, draws_for(tiny_base, 1))
    hook.remove()
    assert seconds["PromptNet forward"] > 0.3
    assert seconds["text encoder forward"] < 0.3


def test_the_report_holds_together(tiny_base, photos):
    found = measure(lambda: learner(tiny_base), list(photos), steps=3, precision="32-true", accelerator="cpu", ema=0.9)
    assert found["ratio"] == pytest.approx(found["step_seconds"] / found["bare_seconds"])
    assert found["images_per_second"] == pytest.approx(len(photos) / found["step_seconds"])
    assert sum(found["shares"].values()) == pytest.approx(1, abs=0.3)
    assert found["peak_gib"] > 0.1
