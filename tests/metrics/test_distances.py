"""Distances of sets: zero for the same distribution, the closed form for Gaussians, and silent where too few."""

import pytest
import torch

from src.metrics.distances import gaussian_mmd, set_distances


def sets(shift: float, count: int = 4000) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(count, 4, generator=generator) + shift, torch.randn(count, 4, generator=generator)


def test_fid_is_the_distance_of_the_means_for_equal_covariances() -> None:
    values, left_out = set_distances(*sets(0.5))
    assert values["fid"] == pytest.approx(4 * 0.5**2, abs=0.1) and not left_out


def test_all_measures_grow_with_the_shift_and_vanish_without() -> None:
    near, far = set_distances(*sets(0.0))[0], set_distances(*sets(1.0))[0]
    assert all(far[name] > 10 * abs(near[name]) for name in ("fid", "kid", "cmmd"))


def test_mmd_of_two_points_is_the_closed_form() -> None:
    x, y = torch.zeros(1, 2), torch.tensor([[6.0, 8.0]])
    assert gaussian_mmd(x, y) == pytest.approx(1000 * 2 * (1 - 2.718281828 ** (-0.5)), rel=1e-6)
    assert gaussian_mmd(x, x) == 0


def test_too_few_images_are_named() -> None:
    values, left_out = set_distances(*sets(0.0, 30))
    assert set(values) == {"fid"} and left_out == [
        f"{n}: needs 50 images on both sides, has 30" for n in ("kid", "cmmd")
    ]
    assert set_distances(torch.randn(60, 96), torch.randn(60, 96))[0].keys() == {"kid", "cmmd"}
