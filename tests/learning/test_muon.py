"""Muon on the matrices of hidden layers: orthogonal steps of AdamW's size, on the very weights of the net."""

import math

import pytest
import torch
from torch import nn

from src.learning.muon import Muon, rows

LR = 1e-3


def small_net():
    """One hidden convolution, the second, between layers with few channels at one side."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 32, 3), nn.SiLU(), nn.Conv2d(32, 48, 3), nn.Flatten(), nn.Linear(48, 4))


def backward(net):
    net(torch.randn(8, 3, 5, 5, generator=torch.Generator().manual_seed(0))).square().mean().backward()


def stepped(net, steps=1, optimizer=None):
    """The net after steps down the same loss, and its optimiser."""
    optimizer = optimizer or Muon(net.parameters(), LR, weight_decay=0.0)
    for _ in range(steps):
        optimizer.zero_grad()
        backward(net)
        optimizer.step()
    return net, optimizer


def stepped_along(net, gradient):
    """The net after one step along a gradient of its hidden convolution alone."""
    net[2].weight.grad = gradient.clone()
    Muon(net.parameters(), LR, weight_decay=0.0).step()
    return net


def test_a_hidden_step_is_orthogonal_and_of_the_size_of_adamw():
    before, gradient = small_net()[2].weight.detach().clone(), torch.randn(48, 32, 3, 3)
    step = rows(before - stepped_along(small_net(), gradient)[2].weight.detach(), before)
    values = torch.linalg.svdvals(step) / (0.2 * LR * math.sqrt(32 * 9))
    assert values.min() > 0.6 and values.max() < 1.3  # what five Newton-Schulz steps call 1
    assert step.square().mean().sqrt() == pytest.approx(
        0.2 * LR, rel=0.15
    )  # AdamW's usual step, measured by Liu et al.


def test_what_is_no_hidden_matrix_is_stepped_by_adamw():
    adam = torch.optim.AdamW
    net, other = stepped(small_net())[0], small_net()
    stepped(other, optimizer=adam(other.parameters(), LR, betas=(0.9, 0.99), weight_decay=0.0, fused=True))
    for layer in (0, 4):
        assert torch.equal(net[layer].weight, other[layer].weight) and torch.equal(net[layer].bias, other[layer].bias)
    assert torch.equal(net[2].bias, other[2].bias) and not torch.equal(net[2].weight, other[2].weight)
    kept = small_net()
    stepped(kept, optimizer=Muon(kept.parameters(), LR, weight_decay=0.0, other=[kept[2].weight]))
    assert torch.equal(kept[2].weight, other[2].weight)


def test_the_layout_of_memory_changes_nothing():
    gradient = torch.randn(48, 32, 3, 3, generator=torch.Generator().manual_seed(1))
    net, other = small_net(), small_net().to(memory_format=torch.channels_last)
    assert not other[2].weight.is_contiguous()
    one, two = stepped_along(net, gradient), stepped_along(other, gradient)
    torch.testing.assert_close(one[2].weight, two[2].weight, rtol=0, atol=LR * 2**-8)  # bfloat16 inside
    assert not torch.equal(one[2].weight, small_net()[2].weight)


def test_a_resumed_optimiser_goes_on_as_if_it_had_not_stopped():
    whole, _ = stepped(small_net(), 4)
    half, optimizer = stepped(small_net(), 2)
    again = Muon(half.parameters(), 10 * LR, weight_decay=0.0)
    again.load_state_dict(optimizer.state_dict())  # the rate, too
    stepped(half, 2, again)
    for one, two in zip(whole.parameters(), half.parameters(), strict=True):
        assert torch.equal(one, two)
    with pytest.raises(ValueError, match="another optimiser than Muon"):
        again.load_state_dict(torch.optim.AdamW(small_net().parameters()).state_dict())


def test_a_schedule_sets_the_rate_of_all_parts():
    net = small_net()
    optimizer = Muon(net.parameters(), LR)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 0.0)
    before = [p.detach().clone() for p in net.parameters()]
    backward(net)
    optimizer.step()
    schedule.step()
    assert all(torch.equal(p, old) for p, old in zip(net.parameters(), before, strict=True))


def test_a_closure_is_asked_for_the_loss():
    net = small_net()
    optimizer = Muon(net.parameters(), LR)

    def closure():
        optimizer.zero_grad()
        backward(net)
        return "the loss"

    assert optimizer.step(closure) == "the loss"
    assert not torch.equal(net[2].weight, small_net()[2].weight)
