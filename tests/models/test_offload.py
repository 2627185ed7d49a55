"""An offloaded base draws the same; between two questions its encoders are on the CPU."""

import copy

import pytest
import torch

from src.models.base import TextToImage


@pytest.fixture
def base(tiny_base):
    other = copy.copy(tiny_base)
    other._modules = {name: copy.deepcopy(part) for name, part in tiny_base._modules.items()}
    return other


def places(base: TextToImage) -> dict[str, str]:
    parts = {name: getattr(base, name) for name in ("unet", "text_encoder", "vae", "image_encoder")}
    return {name: next(part.parameters()).device.type for name, part in parts.items()}


@torch.no_grad()
def test_an_offloaded_base_says_the_same(tiny_base, base):
    base.offload()
    image = torch.rand(1, 3, 64, 64) * 2 - 1
    assert torch.equal(base.decode(base.encode(image)), tiny_base.decode(tiny_base.encode(image)))
    assert torch.equal(base.see(image), tiny_base.see(image))


def test_only_what_is_asked_leaves_the_cpu(base):
    base.unet.to("meta")
    base.text_encoder.to("meta")
    base.offload()
    at_rest = {"unet": "meta", "text_encoder": "meta", "vae": "cpu", "image_encoder": "cpu"}
    assert places(base) == at_rest
    with pytest.raises(NotImplementedError, match="out of meta"), base.visiting(base.vae):  # it is to come back
        assert places(base) == {**at_rest, "vae": "meta"}
