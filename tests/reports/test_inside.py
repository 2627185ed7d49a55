"""Looking does not change what is seen, and what is seen obeys the sampler's own equations."""

import pytest
import torch

from src.diffusion import Schedule, add_noise, ddim_step
from src.reports.inside import Call, Recorder
from src.sampling import NULL, Condition, fusion_sample, seeded_randn_like

A, B = Condition("a"), Condition("b")
OPTIONS = {"joint": [(A, 2.0)], "separate": [(A, 1.5), (B, 0.5)], "fusion_steps": 1, "fusion_eta": 1.0, "eta": 0.0}


def noise(x, t, conditions):
    return [x * len(c.prompt) + (c == B) * x.flip(-1) for c in conditions]


def sampled(function, seeds=(0, 1)):
    randn_like = seeded_randn_like(seeds)
    x = randn_like(torch.empty(len(seeds), 4, 2, 2))
    return fusion_sample(function, x, Schedule.ddim(5), randn_like=randn_like, **OPTIONS)


def test_a_recorder_changes_nothing_and_sees_both_stages_of_every_step():
    recorder = Recorder(noise)
    assert torch.equal(sampled(recorder), sampled(noise))
    assert [call.t for call in recorder.calls] == [t for t, _ in Schedule.ddim(5).steps() for _ in range(2)]
    assert [list(call.eps) for call in recorder.calls[:2]] == [[NULL, A], [NULL, A, B]]


def test_a_step_starts_from_the_call_and_ends_at_the_next():
    recorder, schedule = Recorder(noise), Schedule.ddim(5)
    sampled(recorder)
    (t, t_prev), *_ = schedule.steps()
    refinement, following = recorder.calls[1], recorder.calls[2]
    step = ddim_step(refinement.x_t, refinement.guided(OPTIONS["separate"]), schedule, t, t_prev, 0.0, torch.randn_like)
    torch.testing.assert_close(step, following.x_t)


def test_the_clean_image_is_the_one_that_was_noised():
    schedule, x_0, eps = Schedule.ddim(5), torch.randn(2, 4, 2, 2), torch.randn(2, 4, 2, 2)
    t = next(iter(schedule.steps()))[0]
    call = Call(add_noise(x_0, eps, t, schedule), t, {NULL: torch.zeros_like(eps), A: eps})
    torch.testing.assert_close(call.clean([(A, 1.0)], schedule), x_0, atol=1e-4, rtol=1e-4)


def test_cosines_are_of_what_conditions_change():
    change = torch.randn(2, 4, 2, 2)
    call = Call(change, 1, {NULL: torch.ones_like(change), A: 1 + change, B: 1 - 2 * change})
    torch.testing.assert_close(call.cosine(A, A), torch.ones(2))
    torch.testing.assert_close(call.cosine(A, B), -torch.ones(2))


def test_what_was_not_asked_for_cannot_be_looked_at():
    with pytest.raises(KeyError):
        Call(torch.zeros(1, 4, 2, 2), 1, {NULL: torch.zeros(1, 4, 2, 2)}).guided([(A, 1.0)])
