"""A base that has met somebody: what PromptNet is shown, and precision at the border of each part."""

import copy

import pytest
import torch

from src.models.personal import PersonalNoise
from src.models.promptnet import PromptNet
from src.sampling import NULL, Condition, fusion_sample, seeded_randn_like

PROMPT = "a photo of S* wearing a red hat"


def new_promptnet(base):
    torch.manual_seed(1)
    return PromptNet.from_unet(base.unet, vision_width=48, text_width=32, pseudo_channels=4).requires_grad_(False)


@pytest.fixture
def photo():
    return torch.rand(1, 3, 64, 64) * 2 - 1


@pytest.mark.parametrize("with_noise", [True, False])
def test_a_promptnet_without_noise_is_shown_the_photo_instead(tiny_base, photo, with_noise):
    promptnet = new_promptnet(tiny_base)
    promptnet.config["with_noise"] = with_noise
    noise, t = PersonalNoise(tiny_base, promptnet, photo), torch.tensor(400)
    x = torch.randn(2, *tiny_base.latent_shape)
    (found,) = noise(x, t, [Condition(PROMPT, 0)])
    x_ref, vision = noise.x_ref.expand_as(x), noise.vision.expand(2, -1, -1)
    pseudo = promptnet(x if with_noise else x_ref, t, x_ref, vision)
    torch.testing.assert_close(found, tiny_base.predict_noise(x, t, tiny_base.text([PROMPT] * 2, pseudo)))


def half(base, dtype):
    """A copy of the base in half precision."""
    other = copy.copy(base)
    other._modules = {name: copy.deepcopy(part).to(dtype) for name, part in base._modules.items()}
    return other


@torch.no_grad()
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_base_in_half_precision_is_sampled_from_float32_latents(tiny_base, photo, dtype):
    """What leaves the adapted base is float32, and close to what the base in full precision makes."""
    promptnet, made = new_promptnet(tiny_base), []
    for base in (tiny_base, half(tiny_base, dtype)):
        noise = PersonalNoise(base, promptnet, photo)
        assert {noise.x_ref.dtype, noise.vision.dtype, base.text("a photo").dtype} == {torch.float32}
        randn_like = seeded_randn_like([3])
        latents = fusion_sample(
            noise,
            randn_like(torch.empty(1, *base.latent_shape)),
            base.schedule(3),
            joint=[(Condition(PROMPT, 0, 0.6, "interpolate"), 2.0)],
            separate=[(Condition(PROMPT, 0), 2.0), (Condition("a photo of a person"), 1.5)],
            fusion_steps=1,
            fusion_eta=1.0,
            eta=0.0,
            randn_like=randn_like,
        )
        made.append((latents, base.decode(latents)))
        assert {each.dtype for each in made[-1]} == {torch.float32}
    for full, other in zip(*made, strict=True):
        assert (other - full).norm() < 0.02 * full.norm()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_gradients_pass_a_half_precision_base_into_a_float32_promptnet(tiny_base, photo, dtype):
    gradients = []
    for base in (tiny_base, half(tiny_base, dtype)):
        promptnet = new_promptnet(tiny_base).requires_grad_(True)
        (eps,) = PersonalNoise(base, promptnet, photo)(
            torch.ones(1, 4, 16, 16), torch.tensor(400), [Condition(PROMPT, 0)]
        )
        (100 * eps.square().mean()).backward()
        gradients.append(torch.cat([p.grad.flatten() for p in promptnet.parameters()]))
    assert gradients[1].dtype == torch.float32
    assert torch.cosine_similarity(*gradients, dim=0) > 0.9


@torch.no_grad()
def test_the_fusion_stage_of_a_velocity_base_moves_by_the_noise_that_its_velocities_mean(tiny_base, photo):
    """Stable Diffusion 2 at 768 px predicts v = signal eps - noise x_0, so eps = signal v + noise x_t."""
    promptnet, velocity_base = new_promptnet(tiny_base), copy.copy(tiny_base)
    velocity_base.prediction_type = "v_prediction"
    raw = PersonalNoise(tiny_base, promptnet, photo)  # what the U-Net says, taken as it is
    schedule = tiny_base.schedule(3)

    def by_hand(x, t, conditions):
        level = float(tiny_base.alpha_bar[int(t)])
        return [level**0.5 * v + (1 - level) ** 0.5 * x for v in raw(x, t, conditions)]

    def sampled(noise):
        randn_like = seeded_randn_like([3])
        x = randn_like(torch.empty(1, *tiny_base.latent_shape))
        joint, text = Condition(PROMPT, 0, gamma=0.6), Condition("a photo of a person wearing a red hat")
        settings = {"fusion_steps": 2, "fusion_eta": 1.0, "eta": 0.0, "randn_like": randn_like}
        terms = {"joint": [(joint, 3.0)], "separate": [(Condition(PROMPT, 0), 2.0), (text, 1.5)]}
        return fusion_sample(noise, x, schedule, **terms, **settings)

    found = sampled(PersonalNoise(velocity_base, promptnet, photo))
    torch.testing.assert_close(found, sampled(by_hand), rtol=1e-4, atol=1e-4)
    assert (found - sampled(raw)).abs().max() > 0.1


@torch.no_grad()
def test_a_word_is_a_constant_a_function_of_x_t_and_t_or_nothing(tiny_base):
    """Noise is predicted from the text with that word in the place of S*, and without words from plain text alone."""
    x, t = torch.randn(2, *tiny_base.latent_shape), torch.tensor(400)
    constant = torch.randn(3, 32)

    def moving(x, t):
        return x.mean((1, 2, 3))[:, None, None] * t / 100 * torch.ones(1, 1, 32)

    asked = [NULL, Condition(PROMPT, 0), Condition(PROMPT, 1, 0.5)]
    found = PersonalNoise(tiny_base, words=[constant, moving])(x, t, asked)
    states = [
        tiny_base.text([PROMPT] * 2, constant.expand(2, -1, -1)),
        tiny_base.text([PROMPT] * 2, moving(x, t), gamma=0.5),
    ]
    for eps, text in zip(found[1:], states, strict=True):
        torch.testing.assert_close(eps, tiny_base.predict_noise(x, t, text), rtol=1e-4, atol=1e-5)
    (plain,) = PersonalNoise(tiny_base)(x, t, [NULL])
    torch.testing.assert_close(plain, found[0], rtol=1e-4, atol=1e-5)
