"""What is trained is float32 whatever the base is, and somebody who was learned comes back from a file as learned."""

import copy
from functools import partial

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from src.learning.finetune import Finetune, untuned
from src.methods.drawing import Sampler
from src.methods.profusion import ProFusion, person_of
from src.models.personal import PersonalNoise, attention_projections
from src.models.promptnet import PromptNet
from src.sampling import Condition

PROMPT = "a photo of S*"
SAMPLER = Sampler(
    steps=2, guidance={"joint": 2.0}, joint=[], separate=[{"prompt": "joint", "weight": "joint"}], fusion_steps=0
)


def of_precision(base, dtype):
    """A copy of the base in another precision."""
    other = copy.copy(base)
    other._modules = {name: copy.deepcopy(part).to(dtype) for name, part in base._modules.items()}
    return other


@pytest.fixture(scope="module")
def promptnet(tiny_base):
    torch.manual_seed(1)
    net = PromptNet.from_unet(tiny_base.unet, vision_width=48, text_width=32, pseudo_channels=4)
    return net.requires_grad_(False).eval()


@pytest.fixture(scope="module")
def photos():
    return torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(2)) * 2 - 1


def moves(tuned, base):
    """What was added to the projections, in one vector."""
    pairs = zip(
        attention_projections(tuned.base.unet).parameters(), attention_projections(base.unet).parameters(), strict=True
    )
    return torch.cat([(new.float() - old.float()).flatten() for new, old in pairs])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_half_base_learns_what_a_float32_one_does(tiny_base, promptnet, photos, dtype):
    """From the same weights: those of the half base."""
    half = of_precision(tiny_base, dtype)
    full = of_precision(half, torch.float32)
    learn = Finetune(steps=50, lr=2e-5, batch=2)
    found, expected = (moves(learn(base, promptnet, photos), base) for base in (half, full))
    assert (found != 0).float().mean() >= 0.99
    assert (found - expected).norm() <= 0.05 * expected.norm()


def test_the_originals_and_what_is_frozen_stay_as_they_are(tiny_base, promptnet, photos):
    half = of_precision(tiny_base, torch.bfloat16)
    before = {name: value.clone() for name, value in half.state_dict().items()}
    tuned = Finetune(steps=1, lr=1e-2, batch=2)(half, promptnet, photos)
    tuned.in_use()
    assert all(torch.equal(value, before[name]) for name, value in half.state_dict().items())
    assert {p.dtype for p in promptnet.parameters()} == {torch.float32}
    assert {p.dtype for p in tuned.trained.parameters()} == {torch.float32}
    trained = {id(p) for p in tuned.trained.parameters()}
    for own, original in zip(tuned.base.unet.parameters(), half.unet.parameters(), strict=True):
        assert (own is original) != (id(own) in trained)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_somebody_comes_back_bit_by_bit(tiny_base, promptnet, photos, dtype, tmp_path):
    base, file = of_precision(tiny_base, dtype), tmp_path / "anna.safetensors"
    tuned = Finetune(steps=3, lr=1e-3, batch=2)(base, promptnet, photos)
    tuned.save(file)
    again = untuned(base, promptnet).load(file)
    for name, value in tuned.trained.state_dict().items():
        assert torch.equal(value, again.trained.state_dict()[name]), name
    with safe_open(file, "pt") as kept:
        assert {kept.get_tensor(name).dtype for name in kept.keys()} == {dtype}  # noqa: SIM118
        assert kept.metadata()["dtype"] == str(dtype).removeprefix("torch.")
    one, other = (person_of(each, photos, SAMPLER)(PROMPT, [1]) for each in (tuned, again))
    assert torch.equal(one, other)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_on_the_way_lie_those_who_are_learned_for_fewer_steps(tiny_base, promptnet, photos, dtype, tmp_path):
    base = of_precision(tiny_base, dtype)
    passing = {steps: tmp_path / f"{steps}.safetensors" for steps in (1, 3)}
    learn = partial(Finetune, lr=1e-3, batch=2)
    last = learn(steps=4)(base, promptnet, photos, passing=passing)
    for steps, file in passing.items():
        learn(steps=steps)(base, promptnet, photos).save(alone := tmp_path / "alone.safetensors")
        found, expected = load_file(file), load_file(alone)
        assert found.keys() == expected.keys() and all(torch.equal(found[name], expected[name]) for name in found)
    straight = learn(steps=4)(base, promptnet, photos)
    for one, two in zip(last.trained.parameters(), straight.trained.parameters(), strict=True):
        assert torch.equal(one, two)


def test_nobody_who_is_not_finite_is_kept_on_the_way(tiny_base, promptnet, photos, tmp_path):
    passing = {2: tmp_path / "2.safetensors"}
    with pytest.raises(ValueError, match=r"not finite at step [12]: nothing of it is kept"):
        Finetune(steps=4, lr=1e30, batch=1)(tiny_base, promptnet, photos, passing=passing)
    assert not passing[2].exists()


def test_a_person_of_another_base_or_precision_is_refused_in_one_sentence(tiny_base, promptnet, photos, tmp_path):
    half, file = of_precision(tiny_base, torch.bfloat16), tmp_path / "anna.safetensors"
    untuned(half, promptnet).rounded().save(file)
    with pytest.raises(
        ValueError, match=r"on a base in bfloat16, and this one is in float32: set base\.dtype=bfloat16"
    ):
        untuned(tiny_base, promptnet).load(file)
    foreign = of_precision(half, torch.bfloat16)
    with torch.no_grad():
        attention_projections(foreign.unet)[0].weight.mul_(2)
    with pytest.raises(ValueError, match="on another base or PromptNet"):
        untuned(foreign, promptnet).load(file)
    with pytest.raises(ValueError, match="on another base or PromptNet"):
        untuned(half, PromptNet.from_unet(tiny_base.unet, vision_width=48, text_width=32, pseudo_channels=8)).load(file)
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(ValueError, match="damaged"):
        untuned(half, promptnet).load(file)


def test_gradient_checkpointing_changes_no_result(tiny_base, promptnet, photos):
    plain, spare = (
        Finetune(steps=2, lr=1e-3, batch=2, gradient_checkpointing=each)(tiny_base, promptnet, photos)
        for each in (False, True)
    )
    torch.testing.assert_close(moves(spare, tiny_base), moves(plain, tiny_base), rtol=1e-4, atol=1e-7)
    assert not spare.promptnet.gradient_checkpointing and not spare.base.unet.is_gradient_checkpointing


@torch.no_grad()
def test_a_trained_half_base_is_asked_for_noise_under_autocast(tiny_base, promptnet, photos):
    """Before it is made all half, too: by whoever asks PersonalNoise itself."""
    half = of_precision(tiny_base, torch.bfloat16)
    tuned = Finetune(steps=1, lr=1e-4, batch=2)(half, promptnet, photos)
    x, t = torch.randn(1, *half.latent_shape), torch.tensor(300)
    ask = [Condition(PROMPT, 0)]
    (mixed,) = PersonalNoise(tuned.base, tuned.promptnet, photos)(x, t, ask)
    (drawn,) = PersonalNoise(*tuned.in_use(), photos)(x, t, ask)
    assert mixed.dtype == drawn.dtype == torch.float32
    assert (mixed - drawn).norm() < 0.02 * drawn.norm()


def test_half_a_base_draws_who_was_learned(tiny_base, promptnet, photos):
    half = of_precision(tiny_base, torch.bfloat16)
    learned = [
        ProFusion(promptnet, SAMPLER, Finetune(steps=5, lr=1e-3, batch=2)).learn(base, photos)(PROMPT, [1])
        for base in (half, tiny_base)
    ]
    assert (learned[0] - learned[1]).norm() < 0.05 * learned[1].norm()
