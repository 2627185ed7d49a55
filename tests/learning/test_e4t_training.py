"""Training E4T: what takes gradients, what the penalty is, and that killing changes nothing."""

import copy
from functools import partial

import pytest
import torch
from torch import nn

from src.diffusion import denoising_loss
from src.learning.checkpoints import AtomicCheckpoints, checkpoints_in
from src.learning.e4t import (
    TuneE4T,
    e4t_noise_prediction,
    e4t_prediction,
    keep_person,
    known_person,
    offset_square,
)
from src.learning.pretrain import Pretrain, draws_for, encode_photos
from src.models.base import load_base
from src.models.digest import base_digest
from src.models.e4t import E4T, with_offsets
from tests.learning.conftest import pretrain
from tests.learning.test_resume import EXPERIMENT, Signalling, assert_same, forked

STEPS = 6


def new_e4t(base):
    torch.manual_seed(5)
    e4t = E4T.from_unet(base.unet, vision_width=48, text_width=32, width=16)
    for offset in e4t.weight_offsets:
        nn.init.normal_(offset.column, std=0.05)
    return e4t


def learner(base, **changes):
    optimizer = partial(torch.optim.AdamW, lr=1e-3)
    how = {"penalty": 0.01, "predict": e4t_prediction, "optimizer": optimizer, **changes}
    return Pretrain(base=base, net=new_e4t(base), **how)


@pytest.fixture
def person(photos):
    return photos.tensors[0][:2]


def predicted(base, e4t, photos, own=None):
    """eps predicted, the offset and the draws of a batch of photos."""
    draws = draws_for(base, 0, 0, range(len(photos)), low_third=1 / 3, device=base.device)
    own = with_offsets(base, e4t) if own is None else own
    return *e4t_noise_prediction(base, own, e4t, encode_photos(base, photos), draws, "a photo of S*"), draws


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_gradients_reach_encoder_and_offsets_alone_in_float32(tiny_base_folder, person, dtype):
    base = load_base(tiny_base_folder, dtype=dtype)
    e4t = new_e4t(base)
    eps, offset, draws = predicted(base, e4t, person)
    (denoising_loss(eps, draws["eps"]) + offset_square(offset)).backward()
    assert all(parameter.grad is None for parameter in base.parameters())
    for name, parameter in e4t.named_parameters():
        assert parameter.dtype == parameter.grad.dtype == torch.float32, name
        assert parameter.grad.isfinite().all() and parameter.grad.any(), name


def test_the_penalty_is_the_mean_squared_length_of_the_offsets():
    assert offset_square(torch.tensor([[[3.0, 4.0]], [[1.0, 0.0]]])) == (25 + 1) / 2


def test_the_loss_is_that_of_the_noise_and_lambda_times_the_penalty(tiny_base, person):
    losses, spared = [], []
    for penalty in (0.0, 0.5):
        tune = TuneE4T(steps=1, lr=1e-3, penalty=penalty, batch=2)
        e4t = new_e4t(tiny_base)
        losses.append(tune.loss(tiny_base, with_offsets(tiny_base, e4t), e4t, encode_photos(tiny_base, person), 0))
        spared.append(offset_square(predicted(tiny_base, e4t, person)[1]))
    torch.testing.assert_close(losses[1] - losses[0], 0.5 * spared[0])


def test_gradient_checkpointing_changes_no_gradient(tiny_base_folder, person):
    """What is computed again is computed with the offsets, too."""
    gradients = []
    for wanted in (False, True):
        base = load_base(tiny_base_folder)
        e4t = new_e4t(base)
        own = with_offsets(base, e4t)
        if wanted:
            own.unet.enable_gradient_checkpointing()
        eps, _, draws = predicted(base, e4t, person, own)
        denoising_loss(eps, draws["eps"]).backward()
        gradients.append(torch.cat([parameter.grad.flatten() for parameter in e4t.parameters()]))
    torch.testing.assert_close(*gradients, rtol=1e-5, atol=1e-7)


def whole(base, photos, folder):
    schedule = partial(torch.optim.lr_scheduler.LinearLR, total_iters=STEPS)
    pretrain(base, photos, folder, STEPS, module=learner(base, scheduler=schedule), ema=0.9)
    return AtomicCheckpoints(EXPERIMENT).load_checkpoint(checkpoints_in(folder / "checkpoints")[-1])


def test_killed_anywhere_it_ends_where_the_unbroken_training_does(tiny_base, photos, tmp_path):
    unbroken = whole(tiny_base, photos, tmp_path / "unbroken")
    for last in (2, 13, 30):  # the photo that is read last: before the first checkpoint, and in two later steps
        folder, killing = tmp_path / str(last), Signalling(photos.tensors[0], last)
        assert forked(lambda f=folder, k=killing: whole(tiny_base, k, f)) == -9
        assert_same(whole(tiny_base, photos, folder), unbroken)


def test_a_pretraining_moves_all_of_it_and_says_which_base_it_is_for(tiny_base, photos, tmp_path):
    module = learner(tiny_base)
    start = copy.deepcopy(module.net.state_dict())
    before = {name: value.clone() for name, value in tiny_base.state_dict().items()}
    _, _, validation = pretrain(tiny_base, photos, tmp_path, 2, module=module)
    assert all(not torch.equal(value, start[name]) for name, value in module.net.state_dict().items())
    assert all(torch.equal(value, before[name]) for name, value in tiny_base.state_dict().items())
    assert set(module.state_dict()) == {f"net.{name}" for name in start}
    module.net.check(tiny_base)
    assert validation["val/loss"] > 0


def test_cached_encodings_give_the_loss_that_photos_give(tiny_base, photos, tmp_path):
    encoded = encode_photos(tiny_base, photos.tensors[0])
    cache = [{name: value[k] for name, value in encoded.items()} for k in range(len(photos))]
    found = [
        pretrain(tiny_base, seen, tmp_path / name, 2, module=learner(tiny_base))[2]
        for name, seen in (("photos", photos), ("cache", cache))
    ]
    assert found[1] == pytest.approx(found[0], rel=1e-5)


def test_tuning_moves_a_copy_alone_and_comes_back_bit_by_bit(tiny_base, person, tmp_path):
    e4t = new_e4t(tiny_base).requires_grad_(False)
    e4t.config["base"] = base_digest(tiny_base)
    start = copy.deepcopy(e4t.state_dict())
    before = {name: value.clone() for name, value in tiny_base.state_dict().items()}
    tuned = TuneE4T(steps=2, lr=1e-2, penalty=0.1, batch=4)(tiny_base, e4t, person)
    assert all(torch.equal(value, before[name]) for name, value in tiny_base.state_dict().items())
    assert_same(dict(e4t.state_dict()), dict(start))
    assert all(not torch.equal(value, start[name]) for name, value in tuned.state_dict().items())
    assert not any(each.requires_grad or each.grad is not None for each in tuned.parameters())
    keep_person(tuned, e4t, tiny_base, tmp_path / "ada.safetensors")
    assert_same(dict(known_person(e4t, tiny_base, tmp_path / "ada.safetensors").state_dict()), dict(tuned.state_dict()))


def test_learning_is_a_pure_function_of_its_seed(tiny_base, person):
    tuned = [TuneE4T(steps=2, lr=1e-2, penalty=0.1, batch=3)(tiny_base, new_e4t(tiny_base), person) for _ in range(2)]
    assert_same(*(dict(each.state_dict()) for each in tuned))


def test_a_larger_penalty_leaves_a_smaller_offset(tiny_base, person):
    left = []
    for penalty in (0.0, 10.0):
        tuned = TuneE4T(steps=5, lr=2e-2, penalty=penalty, batch=2)(tiny_base, new_e4t(tiny_base), person)
        left.append(float(offset_square(predicted(tiny_base, tuned, person)[1])))
    assert left[1] < 0.5 * left[0]


def test_a_person_of_another_base_or_a_damaged_one_is_refused(tiny_base, tiny_base_folder, tmp_path):
    e4t, file = new_e4t(tiny_base), tmp_path / "ada.safetensors"
    e4t.config["base"] = "another"
    keep_person(e4t, e4t, tiny_base, file)
    e4t.config["base"] = base_digest(tiny_base)
    with pytest.raises(ValueError, match="holds somebody learned on another base or E4T: give those, or delete it"):
        known_person(e4t, tiny_base, file)
    keep_person(e4t, e4t, tiny_base, file)
    for other in ("E4T", "base"):  # of the same sizes, and said to be of this base
        start, base = copy.deepcopy(e4t), load_base(tiny_base_folder)
        with torch.no_grad():
            next((start if other == "E4T" else base.unet).parameters()).mul_(1.01)
        with pytest.raises(ValueError, match="holds somebody learned on another base or E4T"):
            known_person(start, base, file)
    file.write_bytes(file.read_bytes()[:-8])
    with pytest.raises(ValueError, match="is damaged; delete it to learn again"):
        known_person(e4t, tiny_base, file)


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"steps": 0}, r"steps \(0\)"), ({"lr": 0.0}, r"lr \(0.0\)"), ({"penalty": -0.1}, r"penalty \(-0\.1\), lambda,")],
)
def test_settings_out_of_range_are_named(changes, message):
    with pytest.raises(ValueError, match=rf"method\.finetune\.{message} must be"):
        TuneE4T(**{"steps": 1, "lr": 1e-3, "penalty": 0.1, **changes})


def test_a_rate_that_spoils_the_result_is_named_and_nothing_is_kept(tiny_base, person):
    with pytest.raises(ValueError, match=r"not finite .*nothing of it is kept; lower method\.finetune\.lr \(1e\+30\)"):
        TuneE4T(steps=2, lr=1e30, penalty=0.1, batch=2)(tiny_base, new_e4t(tiny_base), person)
