"""Shortcuts of the sampler: each has a value that changes nothing, and cases in closed form in which it is exact."""

import math
import re
from itertools import pairwise

import pytest
import torch

from src.diffusion import Schedule, ddim_step, dpmpp_2m_step, eps_of, renoise, x_0_of
from src.sampling import NULL, Condition, Shortcuts, fusion_sample

JOINT = Condition("a photo of S* wearing a red hat", photo=0, gamma=0.6)
OWN, GENERIC = Condition(JOINT.prompt, photo=0), Condition("a photo of a person wearing a red hat")
SETTINGS = {
    "joint": [(JOINT, 7.0)],
    "separate": [(OWN, 3.0), (GENERIC, 2.0)],
    "fusion_steps": 1,
    "fusion_eta": 1.0,
    "eta": 0.0,
}
SCHEDULE = Schedule.ddim(10)
NEUTRAL = [
    {"fusion_interval": (0.0, 1.0)},
    {"fusion_every": 1},
    {"fusion_eps": "own"},
    {"guidance_every": 1},
    {"solver": "ddim"},
    {"word_every": None},
    {"deep_every": 1},
    {"precision": None},
]


def double(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64)


class Asked:
    """A denoiser that notes what it is asked: "eps" for each condition in closed form, or the same for all."""

    def __init__(self, eps):
        self.eps, self.calls = eps, []

    def __call__(self, x, t, conditions):
        self.calls.append(tuple(conditions))
        return [self.eps(x, int(t), condition) for condition in conditions]

    @property
    def evaluations(self) -> int:
        return sum(map(len, self.calls))


def different(x, t, condition):
    return x * (0.3 + 0.01 * len(condition.prompt)) + math.sin(t / 500 + condition.gamma)


def one_point(point):
    """The exact denoiser of one point, whatever the condition: its x_0 is the same at every step."""
    return lambda x, t, condition: eps_of(x, point, SCHEDULE, t)


def sampled(eps, shortcuts, **changes):
    noise, generator = Asked(eps), torch.Generator().manual_seed(1)
    x = torch.randn(2, 3, generator=generator, dtype=torch.float64)
    randn_like = lambda x: torch.randn(x.shape, generator=generator, dtype=x.dtype)  # noqa: E731
    found = fusion_sample(noise, x, SCHEDULE, randn_like=randn_like, **SETTINGS | changes, shortcuts=shortcuts)
    return found, noise


@pytest.mark.parametrize("neutral", NEUTRAL, ids=lambda each: next(iter(each)))
@pytest.mark.parametrize("changes", [{}, {"fusion_steps": 2, "eta": 0.5}])
def test_each_has_a_value_that_changes_nothing(neutral, changes):
    schedule, noise = SCHEDULE, Asked(different)
    draws = iter(double(40, 2, 3))
    kept = list(draws)
    x = first = double(2, 3)
    again = iter(kept)
    settings = SETTINGS | changes
    for t, t_prev in schedule.steps():  # the sampler as the paper has it

        def guided(x, terms, t=t):
            null = different(x, t, NULL)
            return null + sum(weight * (different(x, t, c) - null) for c, weight in terms)

        for _ in range(settings["fusion_steps"]):
            x = renoise(x, guided(x, settings["joint"]), schedule, t, t_prev, 1.0, lambda _: next(again))
        x = ddim_step(x, guided(x, settings["separate"]), schedule, t, t_prev, settings["eta"], lambda _: next(again))
    left = iter(kept)
    found = fusion_sample(
        noise, first, schedule, **settings, randn_like=lambda _: next(left), shortcuts=Shortcuts(**neutral)
    )
    torch.testing.assert_close(found, x, rtol=1e-12, atol=1e-12)
    assert noise.evaluations == 10 * (2 * settings["fusion_steps"] + 3)


@pytest.mark.parametrize(
    "shortcuts",
    [
        {"fusion_eps": "previous"},
        {"guidance_every": 3},
        {"solver": "dpmpp_2m"},
        {"fusion_eps": "previous", "guidance_every": 4, "solver": "dpmpp_2m"},
    ],
)
@pytest.mark.parametrize("fusion_steps", [0, 2])
def test_a_one_point_denoiser_is_sampled_exactly(shortcuts, fusion_steps):
    """Where all conditions mean one x_0, nothing is lost by keeping it, or the differences between them."""
    eps = one_point(double(1, 3))
    exact, _ = sampled(eps, Shortcuts(), fusion_steps=fusion_steps)
    found, _ = sampled(eps, Shortcuts(**shortcuts), fusion_steps=fusion_steps)
    torch.testing.assert_close(found, exact, rtol=1e-9, atol=1e-9)


def test_differences_between_conditions_that_stay_are_held_exactly():
    def apart(x, t, condition):
        return x * 0.4 + 0.01 * len(condition.prompt)

    exact, whole = sampled(apart, Shortcuts())
    found, fewer = sampled(apart, Shortcuts(guidance_every=5))
    torch.testing.assert_close(found, exact, rtol=1e-9, atol=1e-9)
    assert (whole.evaluations, fewer.evaluations) == (50, 2 * 5 + 8 * 2)


@pytest.mark.parametrize(
    ("shortcuts", "evaluations"),
    [
        ({}, 50),
        ({"fusion_every": 2}, 5 * 5 + 5 * 3),
        ({"fusion_every": 3}, 4 * 5 + 6 * 3),
        ({"fusion_interval": (0.5, 1.0)}, 5 * 5 + 5 * 3),
        ({"fusion_interval": (0.5, 1.0), "fusion_every": 2}, 3 * 5 + 7 * 3),
        ({"fusion_interval": (0.0, 0.0)}, 30),
        ({"fusion_eps": "previous"}, 5 + 9 * 3),
        ({"guidance_every": 2}, 5 * 5 + 5 * 2),
        ({"guidance_every": 2, "fusion_eps": "previous"}, 5 + 4 * 3 + 5),
        ({"solver": "dpmpp_2m"}, 50),
    ],
)
def test_evaluations_are_those_that_are_left(shortcuts, evaluations):
    assert sampled(different, Shortcuts(**shortcuts))[1].evaluations == evaluations


def test_without_fusion_stages_the_interval_leaves_the_refinement_stage_alone():
    found, _ = sampled(different, Shortcuts(fusion_interval=(0, 0)))
    torch.testing.assert_close(found, sampled(different, Shortcuts(), fusion_steps=0)[0])


def test_the_unconditional_prediction_is_not_asked_for_where_it_does_not_matter():
    shares = {"separate": [(OWN, 0.25), (GENERIC, 0.75)], "fusion_steps": 0}
    found, noise = sampled(different, Shortcuts(), **shares)
    assert set(noise.calls) == {(OWN, GENERIC)}
    near = {"separate": [(OWN, 0.25), (GENERIC, 0.75 + 1e-7)], "fusion_steps": 0}
    torch.testing.assert_close(found, sampled(different, Shortcuts(), **near)[0], rtol=1e-5, atol=1e-5)


def gaussian(steps: int, solver: str) -> float:
    """Distance of the end of x_T = 1 from the exact one, for data N(0, .25): x_t / sqrt(var_t) stays what it is."""
    alpha_bar = Schedule.ddim(10).alpha_bar
    schedule = Schedule(alpha_bar, [int(t) for t in torch.linspace(900, 100, steps + 1).round()[:-1]], alpha_bar[100])

    def spread(level):
        return 0.25 * level + 1 - level

    x, before = torch.ones(1, dtype=torch.float64), None
    for t, t_prev in schedule.steps():
        level = schedule.alpha_bar_at(t)
        eps = x * math.sqrt(1 - level) / spread(level)
        now = (x_0_of(x, eps, schedule, t), t)
        x = dpmpp_2m_step(x, eps, schedule, t, t_prev, before if solver == "dpmpp_2m" else None)
        before = now
    exact = math.sqrt(spread(schedule.final_alpha_bar) / spread(schedule.alpha_bar_at(900)))
    return abs(float(x) - exact)


def test_the_second_order_solver_is_of_second_order():
    """Twice the steps, half the error of DDIM and at most a third, about a quarter, of DPM-Solver++(2M)'s."""
    first, second = ([gaussian(steps, solver) for steps in (20, 40, 80)] for solver in ("ddim", "dpmpp_2m"))
    for coarse, fine in pairwise(first):
        assert coarse / fine == pytest.approx(2, rel=0.15)
    for coarse, fine in pairwise(second):
        assert coarse / fine > 3
    assert second[0] < first[0] / 3


def test_its_history_ends_where_the_fusion_stage_moves_x():
    exact, _ = sampled(different, Shortcuts())
    torch.testing.assert_close(sampled(different, Shortcuts(solver="dpmpp_2m"))[0], exact)  # moved at every step
    late = {"fusion_interval": (0.5, 1.0)}
    one, other = (sampled(different, Shortcuts(solver=solver, **late))[0] for solver in ("ddim", "dpmpp_2m"))
    assert not torch.allclose(one, other)


def test_where_no_noise_is_left_the_solver_ends_in_its_x_0():
    schedule, point = Schedule.leading(SCHEDULE.alpha_bar, 10, final_alpha_bar=1.0), double(1, 3)
    noise = Asked(lambda x, t, condition: eps_of(x, point, schedule, t))
    settings = SETTINGS | {"fusion_steps": 0, "randn_like": torch.randn_like}
    found = fusion_sample(noise, double(2, 3), schedule, **settings, shortcuts=Shortcuts(solver="dpmpp_2m"))
    torch.testing.assert_close(found, point.expand_as(found))


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (
            {"fusion_interval": (0.2, 1.5)},
            "fusion_interval ([0.2, 1.5]) must be [low, high] with 0 <= low <= high <= 1",
        ),
        (
            {"fusion_interval": (0.8, 0.2)},
            "fusion_interval ([0.8, 0.2]) must be [low, high] with 0 <= low <= high <= 1",
        ),
        ({"fusion_interval": (0.8,)}, "fusion_interval ([0.8]) must be [low, high] with 0 <= low <= high <= 1"),
        ({"fusion_every": 0}, "fusion_every (0) must be at least 1"),
        ({"guidance_every": 0}, "guidance_every (0) must be at least 1"),
        ({"word_every": 0}, "word_every (0) must be at least 1"),
        ({"deep_every": -1}, "deep_every (-1) must be at least 1"),
        ({"solver": "euler"}, "solver (euler) must be ddim or dpmpp_2m"),
        ({"fusion_eps": "none"}, "fusion_eps (none) must be own or previous"),
        ({"precision": "int8"}, "precision (int8) must be bfloat16 or null"),
    ],
)
def test_settings_are_checked(bad, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        Shortcuts(**bad)


def test_a_solver_without_noise_is_refused_with_noise_before_anything_is_asked():
    noise, settings = Asked(different), SETTINGS | {"eta": 0.5, "randn_like": torch.randn_like}
    with pytest.raises(ValueError, match=r"eta \(0.5\) must be 0 with solver dpmpp_2m"):
        fusion_sample(noise, double(1, 3), SCHEDULE, **settings, shortcuts=Shortcuts(solver="dpmpp_2m"))
    assert noise.calls == []
