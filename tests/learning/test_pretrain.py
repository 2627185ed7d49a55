"""Pre-training: draws are pure functions, resuming changes nothing, and the loss is the paper's."""

from functools import partial

import pytest
import torch
from torch.utils.data import TensorDataset

from src.data.datamodule import Photos, StepBatches
from src.learning.pretrain import PretrainPromptNet, by_thirds, encode_photos, personal_noise_prediction, slot_draws
from src.learning.trainer import train
from src.models.promptnet import PromptNet

SHAPE = (4, 16, 16)


class Stack(TensorDataset):
    def __getitem__(self, index):
        return super().__getitem__(index)[0]


@pytest.fixture
def photos():
    return Stack(torch.rand(10, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1)


def module(base, **changes):
    torch.manual_seed(3)
    promptnet = PromptNet.from_unet(base.unet, vision_width=48, text_width=32, pseudo_channels=4)
    return PretrainPromptNet(base=base, promptnet=promptnet, optimizer=partial(torch.optim.AdamW, lr=1e-3), **changes)


def run(base, photos, folder, steps):
    learner, rows = module(base), []
    validation = train(
        learner,
        Photos(train=photos, validation=photos, batch=4),
        folder=folder,
        steps=steps,
        checkpoint_every=2,
        validate_every=2,
        validation_batches=1,
        log=rows.append,
        show=lambda step: None,
        accelerator="cpu",
    )
    return learner, rows, validation


def test_draws_depend_on_seed_step_and_slot_alone():
    whole = slot_draws(1, 7, range(4), SHAPE, num_timesteps=1000, low_third=1 / 3)
    halves = [slot_draws(1, 7, slots, SHAPE, num_timesteps=1000, low_third=1 / 3) for slots in ((0, 1), (2, 3))]
    for name, value in whole.items():
        assert torch.equal(value, torch.cat([half[name] for half in halves]))
    other = slot_draws(1, 8, range(4), SHAPE, num_timesteps=1000, low_third=1 / 3)
    assert not torch.equal(whole["eps"], other["eps"])


@pytest.mark.parametrize("share", [1 / 3, 0.1])
def test_timesteps_fall_into_the_lowest_third_as_often_as_said(share):
    t = slot_draws(0, 0, range(3000), (1, 1, 1), num_timesteps=999, low_third=share)["t"]
    assert (t < 333).float().mean() == pytest.approx(share, abs=0.03)
    assert t.min() >= 0
    assert t.max() == pytest.approx(998, abs=5)


def test_the_loss_by_thirds_averages_to_the_loss():
    predicted, eps, t = torch.randn(6, 2, 3, 3), torch.randn(6, 2, 3, 3), torch.tensor([0, 300, 400, 600, 700, 999])
    thirds = by_thirds(predicted, eps, t, 1000)
    assert sum(thirds.values()) / 3 == pytest.approx(float((predicted - eps).square().mean()), rel=1e-5)


def test_every_photo_is_seen_once_an_epoch_and_a_late_start_sees_the_same():
    batches = list(StepBatches(10, 4, steps=5, seed=2))
    assert sorted(number for batch in batches for number in batch) == sorted([*range(10), *range(10)])
    assert list(StepBatches(10, 4, steps=5, first=3, seed=2)) == batches[3:]


def test_gradients_reach_promptnet_and_nothing_else(tiny_base, photos):
    learner = module(tiny_base)
    learner.log = lambda *args, **kwargs: None
    draws = slot_draws(0, 0, range(2), SHAPE, num_timesteps=1000, low_third=1 / 3)
    seen = encode_photos(tiny_base, photos.tensors[0][:2])
    predicted, pseudo = personal_noise_prediction(tiny_base, learner.promptnet, seen, seen, draws, "a photo of S*")
    (predicted - draws["eps"]).square().mean().backward()
    assert pseudo.shape == (2, 1, 32)
    assert all(p.grad is None for p in tiny_base.parameters())
    assert sum(p.grad is not None and bool(p.grad.any()) for p in learner.promptnet.parameters()) > 50


def test_a_negative_penalty_is_refused(tiny_base):
    with pytest.raises(ValueError, match=r"penalty \(-1"):
        module(tiny_base, penalty=-1.0)


def test_a_resumed_training_ends_where_an_unbroken_one_does(tiny_base, photos, tmp_path):
    whole, rows, validation = run(tiny_base, photos, tmp_path / "whole", 4)
    run(tiny_base, photos, tmp_path / "broken", 2)
    resumed, _, again = run(tiny_base, photos, tmp_path / "broken", 4)
    for (name, a), b in zip(whole.promptnet.state_dict().items(), resumed.promptnet.state_dict().values(), strict=True):
        assert torch.equal(a, b), name
    assert validation == again
    assert {"val/loss", "val/loss_high_noise"} <= set().union(*rows)
