"""The loop that trains the world: what was stopped ends as what was not, and shipped weights are a place to start."""

import pytest
import torch
from torch import nn

from src.tiny_world import training
from src.tiny_world.training import averaged, fit, write_start


def regression(net, generator):
    x = torch.randn(8, 3, generator=generator)
    loss = (net(x) - x.sum(1, keepdim=True)).square().mean()
    return loss, {"error": loss.detach()}


def linear():
    torch.manual_seed(0)
    return nn.Linear(3, 1)


def trained(path, steps):
    net = linear()
    return net, fit(net, regression, checkpoint=path, steps=steps, peak_lr=0.05, seed=1)


def test_a_run_that_was_stopped_ends_as_one_that_was_not(tmp_path, monkeypatch):
    monkeypatch.setattr(training, "SAVE_EVERY", 5)
    whole, _ = trained(tmp_path / "whole.pt", 12)

    calls = iter(range(7))

    def stops(net, generator):
        next(calls)  # StopIteration at the eighth step
        return regression(net, generator)

    with pytest.raises(StopIteration):
        fit(linear(), stops, checkpoint=tmp_path / "part.pt", steps=12, peak_lr=0.05, seed=1)
    resumed, report = trained(tmp_path / "part.pt", 12)
    assert report["steps"] == 12
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), resumed.parameters(), strict=True))


def test_a_training_goes_on_from_given_weights_and_says_so(tmp_path):
    net = nn.Linear(3, 1)
    write_start(tmp_path / "start.pt", net, "elsewhere")
    assert torch.equal(averaged(linear(), tmp_path / "start.pt").weight, net.weight)
    _, report = trained(tmp_path / "start.pt", 0)
    assert report == {"steps": 0, "wall_s": 0, "seed": 1, "last": {}, "start": "elsewhere"}
    further, report = trained(tmp_path / "start.pt", 3)
    assert report["start"] == "elsewhere"
    assert 0 < (further.weight - net.weight).abs().max() < 0.01  # three steps of the warm-up


def test_a_loss_that_is_not_finite_stops_with_the_step(tmp_path):
    with pytest.raises(ValueError, match=r"run: the loss is nan at step 0"):
        fit(linear(), lambda net, g: (net(torch.full((1, 3), torch.nan)).sum(), {}), checkpoint=tmp_path / "run.pt",
            steps=2, peak_lr=0.1, seed=0)  # fmt: skip
