import math

import pytest
import torch
from diffusers import DDIMScheduler

from src.diffusion import Schedule, add_noise, ddim_step, denoising_loss, eps_to_v, renoise, v_to_eps


def double(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64)


def sd_scheduler(**overrides) -> DDIMScheduler:
    settings = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "steps_offset": 1}
    settings |= {"set_alpha_to_one": False, "clip_sample": False} | overrides
    scheduler = DDIMScheduler(**settings)
    scheduler.alphas_cumprod = scheduler.alphas_cumprod.double()
    scheduler.final_alpha_cumprod = scheduler.final_alpha_cumprod.double()
    return scheduler


@pytest.mark.parametrize("num_steps", [1, 3, 5, 10, 20, 25, 50, 300, 999])
def test_ddim_has_the_timesteps_and_levels_of_diffusers(num_steps):
    scheduler, schedule = sd_scheduler(), Schedule.ddim(num_steps)
    scheduler.set_timesteps(num_steps)
    assert [t for t, _ in schedule.steps()] == scheduler.timesteps.tolist()
    torch.testing.assert_close(schedule.alpha_bar, scheduler.alphas_cumprod, rtol=0, atol=0)
    assert schedule.alpha_bar_at(-1) == float(scheduler.final_alpha_cumprod) == float(schedule.alpha_bar[0])


def test_steps_are_python_integers_that_end_at_minus_one():
    steps = list(Schedule.ddim(5).steps())
    assert steps == [(801, 601), (601, 401), (401, 201), (201, 1), (1, -1)]
    assert all(type(t) is int for pair in steps for t in pair)
    given = Schedule(torch.linspace(0.9, 0.1, 10), torch.tensor([7, 4, 0]), 1.0)
    assert list(given.steps()) == [(7, 4), (4, 0), (0, -1)]
    assert all(type(t) is int for pair in given.steps() for t in pair)


def test_start_leaves_out_the_timesteps_above_it():
    assert [t for t, _ in Schedule.ddim(5, start=601).steps()] == [601, 401, 201, 1]
    assert [t for t, _ in Schedule.ddim(5, start=600).steps()] == [401, 201, 1]


@pytest.mark.parametrize(("num_steps", "start"), [(0, 1000), (-1, 1000), (1001, 1000), (1000, 1000), (10, 0)])
def test_a_schedule_that_cannot_be_is_refused(num_steps, start):
    with pytest.raises(ValueError, match=str(start if start == 0 else num_steps)):
        Schedule.ddim(num_steps, start)


def test_levels_and_timesteps_are_checked():
    alpha_bar = torch.linspace(0.9, 0.1, 10)
    for levels, timesteps, final in [
        (alpha_bar - 0.1, [3], 1.0),
        (alpha_bar, [3], 1.1),
        (alpha_bar, [3, 5], 1.0),
    ]:
        with pytest.raises(ValueError, match="must"):
            Schedule(levels, timesteps, final)
    with pytest.raises(ValueError, match="must"):
        Schedule(alpha_bar, [10, 3], 1.0)


def test_add_noise_equals_diffusers():
    scheduler, schedule = sd_scheduler(), Schedule.ddim(50)
    x_0, eps, t = double(3, 4, 2, 2), double(3, 4, 2, 2), torch.tensor([0, 500, 999])
    expected = scheduler.add_noise(x_0, eps, t)
    torch.testing.assert_close(add_noise(x_0, eps, t, schedule), expected, rtol=1e-12, atol=1e-12)
    one = add_noise(x_0[1:2], eps[1:2], 500, schedule)
    torch.testing.assert_close(one, expected[1:2], rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(one, add_noise(x_0[1:2], eps[1:2], torch.tensor(500), schedule))
    assert add_noise(x_0.float(), eps.float(), t, schedule).dtype == torch.float32


@pytest.mark.parametrize("t", [0, 400, torch.tensor(999), torch.tensor([3, 700])])
def test_velocity_and_noise_are_two_names_for_one_prediction(t):
    schedule = Schedule.ddim(50)
    x_0, eps = double(2, 4, 3, 3), double(2, 4, 3, 3)
    x_t = add_noise(x_0, eps, t, schedule)
    v = eps_to_v(eps, x_t, t, schedule)
    torch.testing.assert_close(v_to_eps(v, x_t, t, schedule), eps, rtol=1e-9, atol=1e-9)
    expected = sd_scheduler().get_velocity(x_0, eps, torch.as_tensor(t).expand(2))
    torch.testing.assert_close(v, expected, rtol=1e-9, atol=1e-9)


def test_denoising_loss_is_the_mean_square_in_full_precision():
    prediction, eps = torch.tensor([[1.0, 2.0]]).half(), torch.tensor([[0.0, 4.0]]).half()
    assert denoising_loss(prediction, eps).item() == 2.5
    assert denoising_loss(prediction, eps).dtype == torch.float32
    with pytest.raises(AssertionError):
        denoising_loss(torch.zeros(2, 3), torch.zeros(2, 1))


@pytest.mark.parametrize("eta", [0.0, 0.4, 1.0])
def test_ddim_step_equals_diffusers(eta):
    scheduler, schedule = sd_scheduler(), Schedule.ddim(7)
    scheduler.set_timesteps(7)
    x, noise = double(2, 4, 3, 3), double(2, 4, 3, 3)
    for t, t_prev in schedule.steps():
        eps = double(2, 4, 3, 3)
        expected = scheduler.step(eps, t, x, eta=eta, variance_noise=noise).prev_sample
        x = ddim_step(x, eps, schedule, t, t_prev, eta, lambda _: noise)
        torch.testing.assert_close(x, expected, rtol=1e-10, atol=1e-10)


def test_ddim_step_draws_only_with_eta():
    def draw(x):
        raise RuntimeError("drawn")

    schedule, x = Schedule.ddim(5), double(1, 2)
    ddim_step(x, x, schedule, 801, 601, 0.0, draw)
    with pytest.raises(RuntimeError, match="drawn"):
        ddim_step(x, x, schedule, 801, 601, 0.1, draw)


def test_ddim_step_with_the_true_noise_stays_on_the_path():
    schedule, x_0, eps = Schedule.ddim(10), double(1, 4, 2, 2), double(1, 4, 2, 2)
    x = ddim_step(add_noise(x_0, eps, 801, schedule), eps, schedule, 801, 101, 0.0, torch.randn_like)
    torch.testing.assert_close(x, add_noise(x_0, eps, 101, schedule), rtol=1e-12, atol=1e-12)


def composed(x, eps, schedule, t, t_prev, fusion_eta):
    """Mean and variance of the two Gaussian moves t -> t_prev -> t, written out one after the other."""
    a, a_prev = schedule.alpha_bar_at(t), schedule.alpha_bar_at(t_prev)
    variance = fusion_eta**2 * (1 - a_prev) / (1 - a) * (1 - a / a_prev)
    x_0 = (x - math.sqrt(1 - a) * eps) / math.sqrt(a)
    down = math.sqrt(a_prev) * x_0 + math.sqrt(1 - a_prev - variance) * eps
    slope = math.sqrt((1 - a) * (1 - a_prev - variance)) / (1 - a_prev)
    mean = math.sqrt(a) * x_0 + slope * (down - math.sqrt(a_prev) * x_0)
    return mean, slope**2 * variance + variance * (1 - a) / (1 - a_prev)


@pytest.mark.parametrize("fusion_eta", [0.0, 0.5, 1.0])
@pytest.mark.parametrize(("t", "t_prev"), [(961, 941), (501, 481), (21, 1), (1, -1)])
def test_renoise_is_the_composition_of_two_gaussian_moves(t, t_prev, fusion_eta):
    schedule, x, eps, noise = Schedule.ddim(50), double(2, 4), double(2, 4), double(2, 4)
    mean, variance = composed(x, eps, schedule, t, t_prev, fusion_eta)
    still = renoise(x, eps, schedule, t, t_prev, fusion_eta, torch.zeros_like)
    torch.testing.assert_close(still, mean, rtol=1e-10, atol=1e-10)
    moved = renoise(x, eps, schedule, t, t_prev, fusion_eta, lambda _: noise)
    torch.testing.assert_close(moved - still, math.sqrt(variance) * noise, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("fusion_eta", [0.0, 0.3, 1.0])
@pytest.mark.parametrize(("t", "t_prev"), [(961, 941), (21, 1), (1, -1)])
def test_renoise_with_the_true_noise_keeps_the_marginal(t, t_prev, fusion_eta):
    """x_t ~ N(sqrt(a) x_0, 1 - a) before and after, for a single x_0."""
    schedule, x_0, eps, one = Schedule.ddim(50), double(4), double(4), torch.ones(4, dtype=torch.float64)
    centre = add_noise(x_0, torch.zeros_like(eps), t, schedule)
    still = renoise(add_noise(x_0, eps, t, schedule), eps, schedule, t, t_prev, fusion_eta, torch.zeros_like)
    spread = renoise(centre, torch.zeros_like(eps), schedule, t, t_prev, fusion_eta, lambda _: one) - centre
    variance = ((still - centre) / eps).square() + spread.square()
    torch.testing.assert_close(variance, (1 - schedule.alpha_bar[t]) * one, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("fusion_eta", [0.0, 1.0])
def test_renoise_draws_exactly_once(fusion_eta):
    drawn = []
    renoise(double(1, 2), double(1, 2), Schedule.ddim(5), 1, -1, fusion_eta, lambda x: drawn.append(1) or x)
    assert drawn == [1]


def test_renoise_is_undefined_where_no_noise_is_left():
    schedule = Schedule.leading(Schedule.ddim(5).alpha_bar, 5, final_alpha_bar=1.0)
    with pytest.raises(ValueError, match="skip the fusion stage"):
        renoise(double(1, 2), double(1, 2), schedule, 1, -1, 1.0, torch.randn_like)


@pytest.mark.parametrize("bad", [-0.1, 1.5, math.nan])
def test_eta_is_checked(bad):
    x, schedule = double(1, 2), Schedule.ddim(5)
    with pytest.raises(ValueError, match=rf"^fusion_eta \({bad}\) must be in \[0, 1\]$"):
        renoise(x, x, schedule, 801, 601, bad, torch.randn_like)
    with pytest.raises(ValueError, match=rf"^eta \({bad}\) must be in \[0, 1\]$"):
        ddim_step(x, x, schedule, 801, 601, bad, torch.randn_like)
