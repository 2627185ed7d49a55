"""Pre-training: draws are pure functions, the loss is the paper's, and a step that is not finite stops all."""

from functools import partial

import pytest
import torch

from src.data.datamodule import Photos, StepBatches, shared_batch
from src.learning.pretrain import by_thirds, encode_photos, named_thirds, personal_noise_prediction, slot_draws
from src.models.base import load_base
from tests.learning.conftest import Stack, learner, pretrain

SHAPE = (4, 16, 16)


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
    losses, t = torch.rand(6), torch.tensor([0, 300, 400, 600, 700, 999])
    named = named_thirds(by_thirds(losses, t, 1000))
    assert named["loss"] == pytest.approx(float(losses.mean()), rel=1e-5)
    assert named["loss_middle_noise"] == pytest.approx(float(losses[2:4].mean()), rel=1e-5)
    with torch.autocast("cpu", torch.bfloat16):
        assert by_thirds(losses, t, 1000).dtype == torch.float32  # mixed precision does not round what is reported
    low = by_thirds(losses[:2], t[:2], 1000)
    assert set(named_thirds(low)) == {"loss", "loss_low_noise"}


def test_every_photo_is_seen_once_an_epoch_and_a_late_start_sees_the_same():
    batches = list(StepBatches(10, 4, steps=5, seed=2))
    assert sorted(number for batch in batches for number, _ in batch) == sorted([*range(10), *range(10)])
    assert [slot for _, slot in batches[0]] == [0, 1, 2, 3]
    assert list(StepBatches(10, 4, steps=5, first=3, seed=2)) == batches[3:]


@pytest.mark.parametrize(("ranks", "accumulation"), [(2, 1), (1, 4), (2, 2)])
def test_the_photo_of_a_slot_does_not_depend_on_how_the_batch_is_shared(ranks, accumulation):
    whole = [set(batch) for batch in StepBatches(10, 8, steps=4, seed=1)]
    shares = [
        list(StepBatches(10, 8, steps=4, seed=1, rank=rank, ranks=ranks, accumulation=accumulation))
        for rank in range(ranks)
    ]
    for step, expected in enumerate(whole):
        parts = [part for share in shares for part in share[step * accumulation : (step + 1) * accumulation]]
        assert len(parts) == ranks * accumulation
        assert set().union(*parts) == expected


@pytest.mark.parametrize(
    ("total", "devices", "most", "shared"),
    [(64, 8, 8, (8, 1)), (64, 1, 8, (8, 8)), (64, 2, 5, (4, 8)), (1, 1, 8, (1, 1)), (6, 2, 64, (3, 1))],
)
def test_the_total_batch_stays_whatever_the_number_of_devices(total, devices, most, shared):
    assert shared_batch(total, devices, most) == shared
    assert shared[0] * shared[1] * devices == total


@pytest.mark.parametrize(("total", "devices"), [(64, 3), (0, 1), (5000, 1)])
def test_a_total_batch_that_cannot_be_shared_is_named(total, devices):
    with pytest.raises(ValueError, match=rf"data\.total_batch \({total}\)"):
        shared_batch(total, devices, 8)


def test_gradients_reach_promptnet_and_nothing_else(tiny_base, photos):
    module = learner(tiny_base)
    draws = slot_draws(0, 0, range(2), SHAPE, num_timesteps=1000, low_third=1 / 3)
    seen = encode_photos(tiny_base, photos.tensors[0][:2])
    predicted, pseudo = personal_noise_prediction(tiny_base, module.net, seen, seen, draws, "a photo of S*")
    (predicted - draws["eps"]).square().mean().backward()
    assert pseudo.shape == (2, 1, 32)
    assert all(p.grad is None for p in tiny_base.parameters())
    assert sum(p.grad is not None and bool(p.grad.any()) for p in module.net.parameters()) > 50


def test_a_negative_penalty_is_refused(tiny_base):
    with pytest.raises(ValueError, match=r"penalty \(-1"):
        learner(tiny_base, penalty=-1.0)


def test_photos_of_another_size_are_named(tiny_base):
    with pytest.raises(ValueError, match=r"32x32 px.*base of 64 px.*data\.train\.size=64"):
        encode_photos(tiny_base, torch.zeros(1, 3, 32, 32))


def test_cached_encodings_give_the_loss_that_photos_give(tiny_base, photos, tmp_path):
    encoded = encode_photos(tiny_base, photos.tensors[0])
    cache = [{name: value[k] for name, value in encoded.items()} for k in range(len(photos))]
    _, rows, validation = pretrain(tiny_base, photos, tmp_path / "photos", 2)
    _, cached_rows, cached = pretrain(tiny_base, cache, tmp_path / "cache", 2)
    assert cached == pytest.approx(validation, rel=1e-5)
    assert cached_rows[-1] == pytest.approx(rows[-1], rel=1e-5)


def test_gradient_checkpointing_changes_no_gradient(tiny_base_folder, photos):
    gradients = []
    for wanted in (False, True):
        base = load_base(tiny_base_folder)
        module = learner(base, gradient_checkpointing=wanted).train()
        draws = slot_draws(0, 0, range(2), SHAPE, num_timesteps=1000, low_third=1 / 3)
        seen = encode_photos(base, photos.tensors[0][:2])
        predicted, _ = personal_noise_prediction(base, module.net, seen, seen, draws, "a photo of S*")
        predicted.square().mean().backward()
        assert base.unet.is_gradient_checkpointing == wanted
        gradients.append(torch.cat([p.grad.flatten() for p in module.parameters()]))
    torch.testing.assert_close(*gradients, rtol=1e-5, atol=1e-7)


def test_a_photo_that_makes_the_loss_infinite_stops_the_training_and_is_named(tiny_base, photos, tmp_path):
    pretrain(tiny_base, photos, tmp_path, 2)
    third, fourth = ({number for number, _ in batch} for batch in list(StepBatches(10, 4, steps=4))[2:])
    spoilt = min(fourth - third)  # of what comes after the first checkpoint, step 4 sees it first
    broken = Stack(photos.tensors[0].clone())
    broken.tensors[0][spoilt] = float("nan")
    with pytest.raises(ValueError, match=rf"photos {spoilt} \(photo-{spoilt}\.png\) is not finite at step 4:"):
        pretrain(tiny_base, broken, tmp_path, 6, checkpoint_every=1)
    assert [path.name for path in sorted((tmp_path / "checkpoints").glob("*.ckpt"))][-1] == "step-00000003.ckpt"
    module, _, _ = pretrain(tiny_base, photos, tmp_path, 4)  # the good checkpoint is there to go on from
    assert all(p.isfinite().all() for p in module.parameters())


def test_a_last_step_that_spoils_the_weights_is_not_kept(tiny_base, photos, tmp_path):
    """All losses and gradients of the steps were finite; what the step made of the weights shows in the validation."""
    module = learner(tiny_base, optimizer=partial(torch.optim.AdamW, lr=1e30))
    with pytest.raises(ValueError, match=r"validation loss is not finite at step 1: .*lower learning\.optimizer\.lr"):
        pretrain(tiny_base, photos, tmp_path, 1, module=module, checkpoint_every=1)
    assert not list((tmp_path / "checkpoints").glob("*.ckpt"))


def test_gradients_that_are_not_finite_stop_the_training(tiny_base, photos, tmp_path):
    module = learner(tiny_base)
    module.net.conv_in.weight.register_hook(lambda gradient: gradient * float("inf"))
    with pytest.raises(ValueError, match=r"the gradient of photos .*photo-.* is not finite at step 1"):
        pretrain(tiny_base, photos, tmp_path, 2, module=module)
    assert not list((tmp_path / "checkpoints").glob("*.ckpt"))


def test_validation_photos_without_enough_for_every_device_are_refused(photos):
    class Trainer:
        world_size, global_rank = 16, 0

    data = Photos(train=photos, validation=photos, total_batch=4, batch=4)
    data.trainer = Trainer()
    with pytest.raises(ValueError, match="10 validation photos are too few for 16 devices"):
        data.val_dataloader()
