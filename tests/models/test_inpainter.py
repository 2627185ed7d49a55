"""An ordinary base as an inpainter: what is not masked stays, each image depends on its own seed."""

import copy

import pytest
import torch

from src.models.inpainter import inpainter_of


@pytest.fixture(scope="module")
def certain_base(tiny_base):
    """The tiny base with an autoencoder whose posterior has no spread: the pipeline draws from it."""
    base = copy.copy(tiny_base)
    base._modules = {**base._modules, "vae": copy.deepcopy(base.vae)}
    with torch.no_grad():
        base.vae.quant_conv.weight[4:] = 0
        base.vae.quant_conv.bias[4:] = -30
    return base


def photos(seed):
    return torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def test_where_nothing_is_masked_everything_passes_the_autoencoder(certain_base):
    paint = inpainter_of(certain_base, steps=3)
    images = paint(photos(0), torch.zeros(2, 1, 64, 64), ["a photo of a person"] * 2, [1, 2])
    expected = certain_base.decode(certain_base.encode(photos(0)))
    torch.testing.assert_close(images, expected, atol=1e-4, rtol=1e-4)


def test_where_all_is_masked_the_photo_does_not_matter(certain_base):
    paint, mask = inpainter_of(certain_base, steps=3), torch.ones(2, 1, 64, 64)
    one, other = (paint(photos(seed), mask, ["a red hat"] * 2, [1, 2]) for seed in (0, 1))
    torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)


def test_an_image_depends_on_its_own_seed_alone(tiny_base):
    photo, mask = torch.zeros(2, 3, 64, 64), torch.ones(2, 1, 64, 64)
    paint = inpainter_of(tiny_base, steps=2)
    together = paint(photo, mask, ["a photo of a person"] * 2, [5, 6])
    alone = paint(photo[1:], mask[1:], ["a photo of a person"], [6])
    torch.testing.assert_close(together[1:], alone, atol=1e-4, rtol=1e-4)
    assert (together[0] - together[1]).abs().mean() > 1e-3
