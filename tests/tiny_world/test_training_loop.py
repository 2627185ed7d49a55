"""The loop that trains the world: what was stopped ends as what was not, and shipped weights are a place to start."""

import pytest
import torch
from torch import nn

from src.tiny_world.training import loop, processes
from src.tiny_world.training.checkpoints import averaged, write_start
from src.tiny_world.training.loop import Budget, Descent, fit


def regression(net, generator):
    x = torch.randn(8, 3, generator=generator)
    loss = (net(x) - x.sum(1, keepdim=True)).square().mean()
    return loss, {"error": loss.detach()}


def linear():
    torch.manual_seed(0)
    return nn.Linear(3, 1)


def trained(path, steps):
    net = linear()
    return net, fit(net, regression, checkpoint=path, budget=Budget(steps), descent=Descent(0.05), seed=1)


def test_a_run_that_was_stopped_ends_as_one_that_was_not(tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "SAVE_EVERY", 0.0)
    whole, _ = trained(tmp_path / "whole.pt", 12)

    calls = iter(range(7))

    def stops(net, generator):
        next(calls)  # StopIteration at the eighth step
        return regression(net, generator)

    with pytest.raises(StopIteration):
        fit(linear(), stops, checkpoint=tmp_path / "part.pt", budget=Budget(12), descent=Descent(0.05), seed=1)
    resumed, report = trained(tmp_path / "part.pt", 12)
    assert report["steps"] == 12
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), resumed.parameters(), strict=True))


def test_a_training_goes_on_from_given_weights_and_says_so(tmp_path):
    net = nn.Linear(3, 1)
    write_start(tmp_path / "start.pt", net, "elsewhere")
    assert torch.equal(averaged(linear(), tmp_path / "start.pt").weight, net.weight)
    _, report = trained(tmp_path / "start.pt", 0)
    assert report == {"steps": 0, "wall_s": 0, "seed": 1, "device": "cpu", "last": {}, "start": "elsewhere"}
    further, report = trained(tmp_path / "start.pt", 4)
    assert report["start"] == "elsewhere"
    assert 0 < (further.weight - net.weight).abs().max() < 0.01  # four steps of the warm-up


def test_a_loss_that_is_not_finite_stops_with_the_step(tmp_path):
    with pytest.raises(ValueError, match=r"run: the loss is nan at step 1"):
        fit(linear(), lambda net, g: (net(torch.full((1, 3), torch.nan)).sum(), {}), checkpoint=tmp_path / "run.pt",
            budget=Budget(1), descent=Descent(0.1), seed=0)  # fmt: skip


def test_the_rate_follows_the_share_of_steps_or_of_time_that_is_over():
    steps, minutes = Budget(1000), Budget(1000, 2.0)
    assert steps.spent(500, 10_000) == 0.5 and steps.spent(1000, 0) == 1
    assert minutes.spent(100, 60) == 0.5 and minutes.spent(900, 60) == 0.9 and minutes.spent(0, 120) == 1
    rates = [Descent(1.0).rate(500, spent) for spent in (0.1, 0.6, 0.8, 1.0)]
    assert rates == pytest.approx([1.0, 1.0, 0.505, 0.01])
    with pytest.raises(ValueError, match=r"minutes \(0\) must be above 0"):
        Budget(10, 0)


def test_a_training_ends_when_its_time_is_over(tmp_path):
    report = fit(
        linear(), regression, checkpoint=tmp_path / "run.pt", budget=Budget(10**9, 0.01), descent=Descent(0.05), seed=1
    )
    assert 1 < report["steps"] < 10**6 and report["wall_s"] <= 2


def half_a_batch(net, generator):
    """Half of what `whole_batch` draws: the half of this process."""
    x = torch.randn(8, 3, generator=torch.Generator().manual_seed(generator.initial_seed() % 1_000_003))
    mine = x[4 * processes.rank() :][:4]
    return (net(mine) - mine.sum(1, keepdim=True)).square().mean(), {}


def one_of_two(rank, folder):
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    assert processes.share(8) == 4
    with pytest.raises(ValueError, match=r"batch \(9\) must be a multiple of the number of processes \(2\)"):
        processes.share(9)
    net, slowest = linear(), processes.agreed(0.1 * rank)
    assert slowest == pytest.approx(0.1)
    fit(net, half_a_batch, checkpoint=folder / f"{rank}.pt", budget=Budget(6), descent=Descent(0.05), seed=1)
    torch.save(net.state_dict(), folder / f"net-{rank}.pt")


def test_two_processes_descend_as_one_that_sees_both_halves(tmp_path):
    torch.multiprocessing.spawn(one_of_two, args=(tmp_path,), nprocs=2)
    one = linear()

    def whole_batch(net, generator):
        x = torch.randn(8, 3, generator=torch.Generator().manual_seed(generator.initial_seed() % 1_000_003))
        return (net(x) - x.sum(1, keepdim=True)).square().mean(), {}

    fit(one, whole_batch, checkpoint=tmp_path / "one.pt", budget=Budget(6), descent=Descent(0.05), seed=1)
    two = [torch.load(tmp_path / f"net-{rank}.pt") for rank in (0, 1)]
    for name, weights in one.state_dict().items():
        assert torch.allclose(two[0][name], weights, atol=1e-6) and torch.equal(two[0][name], two[1][name])
    assert (tmp_path / "0.pt").exists() and not (tmp_path / "1.pt").exists()


def test_several_processes_are_for_the_cpu(monkeypatch):
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "here")
    with pytest.raises(ValueError, match=r"device \(cuda\) must be cpu for several processes"):
        processes.join(torch.device("cuda"))
