import math
import re

import pytest
import torch
from diffusers import DDIMScheduler

from src.diffusion import Schedule, ddim_step, renoise
from src.sampling import NULL, Condition, fusion_sample, guided_noise, seeded_randn_like

JOINT = Condition("a photo of S* wearing a red hat", photo=0, gamma=0.6)
GENERIC = Condition("a photo of a person wearing a red hat")
SETTINGS = {
    "joint": [(JOINT, 7.0)],
    "separate": [(Condition(JOINT.prompt, photo=0), 3.0), (GENERIC, 2.0)],
    "fusion_steps": 1,
    "fusion_eta": 1.0,
    "eta": 0.0,
    "randn_like": torch.randn_like,
}


def double(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64)


class Toward:
    """The exact denoiser of one point: eps = (x - sqrt(alpha_bar) point) / sqrt(1 - alpha_bar)."""

    def __init__(self, point: torch.Tensor, schedule: Schedule) -> None:
        self.point, self.schedule, self.calls = point, schedule, []

    def __call__(self, x, t, conditions):
        assert t.shape == () and t.dtype == torch.int64
        self.calls.append((int(t), tuple(conditions)))
        a = self.schedule.alpha_bar_at(int(t))
        return [(x - math.sqrt(a) * self.point) / math.sqrt(1 - a)] * len(conditions)


def linear_noise(x, t, conditions):
    """A denoiser in closed form, different for each condition, without any link between rows of x."""
    return [x * (0.3 + 0.1 * len(c.prompt)) + torch.sin(t / 500 + c.gamma) for c in conditions]


def test_guided_noise_is_the_composed_guidance():
    x, t = double(2, 4), torch.tensor(3)
    each = {NULL: double(2, 4), JOINT: double(2, 4), GENERIC: double(2, 4)}
    guided = guided_noise(lambda x, t, cs: [each[c] for c in cs], x, t, [(JOINT, 7.0), (GENERIC, 5.0)])
    expected = each[NULL] + 7 * (each[JOINT] - each[NULL]) + 5 * (each[GENERIC] - each[NULL])
    torch.testing.assert_close(guided, expected, rtol=1e-12, atol=1e-12)


def test_guided_noise_of_weight_one_is_the_conditional_prediction():
    x, t = double(2, 4), torch.tensor(3)
    guided = guided_noise(linear_noise, x, t, [(GENERIC, 1.0)])
    torch.testing.assert_close(guided, linear_noise(x, t, [GENERIC])[0], rtol=1e-12, atol=1e-12)


def test_guided_noise_asks_once_for_all_conditions_and_needs_one():
    asked = []

    def noise(x, t, conditions):
        asked.append(list(conditions))
        return torch.stack([x] * len(conditions))

    guided_noise(noise, double(1, 2), torch.tensor(0), [(JOINT, 2.0), (GENERIC, 1.0)])
    assert asked == [[NULL, JOINT, GENERIC]]
    with pytest.raises(ValueError, match="at least one"):
        guided_noise(noise, double(1, 2), torch.tensor(0), [])


def test_several_photos_share_the_guidance_by_their_weights():
    """sum_k (s_k / sum_j s_j) guided(c_k) is one list of terms, with the weights w s_k / sum_j s_j."""
    x, t, photos = double(2, 4), torch.tensor(3), [Condition("S*", 0, 0.6), Condition("a photo of S*", 1, 0.6)]
    each = [guided_noise(linear_noise, x, t, [(photo, 7.0)]) for photo in photos]
    together = guided_noise(linear_noise, x, t, [(photos[0], 7.0 * 3 / 5), (photos[1], 7.0 * 2 / 5)])
    torch.testing.assert_close(together, (3 * each[0] + 2 * each[1]) / 5, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("eta", [0.0, 0.7])
@pytest.mark.parametrize("num_steps", [7, 50])
def test_without_fusion_the_sampler_is_diffusers_ddim(num_steps, eta):
    scheduler = DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        steps_offset=1,
        set_alpha_to_one=False,
        clip_sample=False,
    )
    scheduler.alphas_cumprod = scheduler.alphas_cumprod.double()
    scheduler.final_alpha_cumprod = scheduler.final_alpha_cumprod.double()
    scheduler.set_timesteps(num_steps)
    x, draws = double(2, 4, 3, 3), double(num_steps, 2, 4, 3, 3)
    terms, left = SETTINGS["separate"], iter(draws)
    settings = SETTINGS | {"fusion_steps": 0, "eta": eta, "randn_like": lambda _: next(left)}
    ours = fusion_sample(linear_noise, x, Schedule.ddim(num_steps), **settings)
    for t, draw in zip(scheduler.timesteps, draws, strict=True):
        eps = guided_noise(linear_noise, x, t, terms)
        x = scheduler.step(eps, t, x, eta=eta, variance_noise=draw).prev_sample
    assert ((ours - x).abs().max() / x.abs().max()).item() < 1e-10


@pytest.mark.parametrize("fusion_steps", [0, 3])
def test_a_one_point_denoiser_lands_on_the_point(fusion_steps):
    alpha_bar, point = Schedule.ddim(10).alpha_bar, double(1, 4, 2, 2)
    schedule = Schedule.leading(alpha_bar, 10, final_alpha_bar=1.0)
    noise = Toward(point, schedule)
    x = fusion_sample(noise, double(3, 4, 2, 2), schedule, **SETTINGS | {"fusion_steps": fusion_steps})
    torch.testing.assert_close(x, point.expand_as(x), rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("fusion_steps", [0, 3])
def test_stable_diffusion_ends_one_level_above_the_point(fusion_steps):
    """Its last signal level is alpha_bar[0], so x = sqrt(alpha_bar[0]) point + sqrt(1 - alpha_bar[0]) eps."""
    schedule, point, x = Schedule.ddim(10), double(1, 4, 2, 2), double(3, 4, 2, 2)
    x = fusion_sample(Toward(point, schedule), x, schedule, **SETTINGS | {"fusion_steps": fusion_steps})
    rest = (x - schedule.alpha_bar[0].sqrt() * point) / (1 - schedule.alpha_bar[0]).sqrt()
    assert rest.abs().max() < 6


@pytest.mark.parametrize(("final", "stages"), [(None, 4), (1.0, 3)])
def test_the_fusion_stage_is_skipped_where_no_noise_is_left(final, stages):
    schedule = Schedule.leading(Schedule.ddim(4).alpha_bar, 4, final_alpha_bar=final)
    noise, drawn = Toward(double(1, 2), schedule), []
    settings = SETTINGS | {"fusion_steps": 2, "randn_like": lambda x: drawn.append(1) or torch.randn_like(x)}
    fusion_sample(noise, double(1, 2), schedule, **settings)
    joint = [t for t, conditions in noise.calls if conditions == (NULL, JOINT)]
    separate = [t for t, conditions in noise.calls if len(conditions) == 3]
    assert joint == [t for t, _ in list(schedule.steps())[:stages] for _ in range(2)]
    assert separate == [t for t, _ in schedule.steps()]
    assert len(drawn) == 2 * stages


def test_fusion_sample_is_fusion_stages_then_a_refinement_step():
    schedule, x, kept = Schedule.ddim(3), double(2, 4), list(double(9, 2, 4))
    settings = SETTINGS | {"fusion_steps": 2, "fusion_eta": 0.5, "eta": 0.5}
    draws = iter(kept)
    ours = fusion_sample(linear_noise, x, schedule, **settings | {"randn_like": lambda _: next(draws)})
    again = iter(kept)
    for t, t_prev in schedule.steps():
        for _ in range(2):
            eps = guided_noise(linear_noise, x, torch.tensor(t), settings["joint"])
            x = renoise(x, eps, schedule, t, t_prev, 0.5, lambda _: next(again))
        eps = guided_noise(linear_noise, x, torch.tensor(t), settings["separate"])
        x = ddim_step(x, eps, schedule, t, t_prev, 0.5, lambda _: next(again))
    torch.testing.assert_close(ours, x, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"fusion_eta": 1.5}, r"fusion_eta (1.5) must be in [0, 1]"),
        ({"fusion_eta": -1}, r"fusion_eta (-1) must be in [0, 1]"),
        ({"eta": 2.0}, r"eta (2.0) must be in [0, 1]"),
        ({"fusion_steps": -1}, r"fusion_steps (-1) must be 0 or more"),
        ({"separate": []}, "terms (none) must hold at least one (condition, weight)"),
    ],
)
def test_settings_are_checked(bad, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        fusion_sample(linear_noise, double(1, 2), Schedule.ddim(3), **SETTINGS | bad)


def test_conditions_are_checked_and_compared_by_value():
    assert Condition("S*", 0) == Condition("S*", photo=0, gamma=1.0, blend="position")
    assert len({Condition("S*", 0), Condition("S*", 0), Condition("S*", 1), NULL}) == 3
    with pytest.raises(ValueError, match=r"gamma \(1.2\)"):
        Condition("S*", 0, gamma=1.2)
    with pytest.raises(ValueError, match="blend"):
        Condition("S*", 0, blend="mix")


def test_an_image_does_not_depend_on_its_batch():
    schedule = Schedule.ddim(6)

    def sample(seeds):
        randn_like = seeded_randn_like(seeds)
        x = randn_like(torch.empty(len(seeds), 4, 2, 2))
        settings = SETTINGS | {"eta": 0.5, "randn_like": randn_like}
        return fusion_sample(linear_noise, x, schedule, **settings)

    together = sample([3, 7, 11])
    for row, seed in zip(together, [3, 7, 11], strict=True):
        torch.testing.assert_close(sample([seed])[0], row, rtol=1e-5, atol=1e-4)
    assert not torch.allclose(together[0], together[1])


def test_seeded_noise_goes_on_is_standard_normal_and_keeps_the_dtype():
    randn_like = seeded_randn_like([1, 2])
    x = torch.empty(2, 1000, dtype=torch.float64)
    first, second = randn_like(x), randn_like(x)
    assert first.dtype == torch.float64 and not torch.equal(first, second)
    torch.testing.assert_close(seeded_randn_like([2])(torch.empty(1, 1000))[0], first[1].float())
    assert abs(first.mean().item()) < 0.1 and first.std().item() == pytest.approx(1, abs=0.05)
    with pytest.raises(AssertionError):
        randn_like(torch.empty(3, 2))
