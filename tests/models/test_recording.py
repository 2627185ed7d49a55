"""A recorded call answers as the call itself, whatever is put in later: on an NVIDIA GPU alone."""

import copy

import pytest
import torch

from src.models.personal import RECORDINGS, PersonalNoise
from src.models.promptnet import PromptNet
from src.sampling import NULL, Condition

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")]


@torch.no_grad()
def test_a_replay_is_the_call(tiny_base):
    base = copy.deepcopy(tiny_base).cuda()
    widths = {"vision_width": base.image_encoder.config.hidden_size, "text_width": base.text_encoder.config.hidden_size}
    promptnet = PromptNet.from_unet(base.unet, **widths, pseudo_channels=4)
    photo = torch.rand(1, 3, base.image_size, base.image_size, device="cuda") * 2 - 1
    plain, recorded = (PersonalNoise(own, promptnet, photo) for own in (base, copy.copy(base)))
    recorded.base.recorded = True
    asked = [NULL, Condition("a photo of S* at the beach", photo=0, gamma=0.5)]
    for t in (900, 500, 1):
        x, time = torch.randn(2, *base.latent_shape, device="cuda"), torch.full((), t, device="cuda")
        for found, expected in zip(recorded(x, time, asked), plain(x, time, asked), strict=True):
            torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
    assert recorded.unet_evaluations == plain.unet_evaluations == 6
    for word in ("red", "blue", "yellow", "hat", "snow", "suit", "crown"):
        recorded(x, time, [NULL, Condition(f"a photo of a {word} person")])
    assert len(recorded._recorded) <= RECORDINGS
