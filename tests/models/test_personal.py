"""A base that has met somebody: what PromptNet is shown, and precision at the border of each part."""

import pytest
import torch

from src.models.personal import PersonalNoise
from src.models.promptnet import PromptNet
from src.sampling import Condition

PROMPT = "a photo of S* wearing a red hat"


def new_promptnet(base):
    torch.manual_seed(1)
    return PromptNet.from_unet(base.unet, vision_width=48, text_width=32, pseudo_channels=4).requires_grad_(False)


@pytest.fixture
def photo():
    return torch.rand(1, 3, 64, 64) * 2 - 1


@pytest.mark.parametrize("with_noise", [True, False])
def test_a_promptnet_without_noise_is_shown_the_photo_instead(tiny_base, photo, with_noise):
    promptnet = new_promptnet(tiny_base)
    promptnet.config["with_noise"] = with_noise
    noise, t = PersonalNoise(tiny_base, promptnet, photo), torch.tensor(400)
    x = torch.randn(2, *tiny_base.latent_shape)
    (found,) = noise(x, t, [Condition(PROMPT, 0)])
    x_ref, vision = noise.x_ref.expand_as(x), noise.vision.expand(2, -1, -1)
    pseudo = promptnet(x if with_noise else x_ref, t, x_ref, vision)
    torch.testing.assert_close(found, tiny_base.predict_noise(x, t, tiny_base.text([PROMPT] * 2, pseudo)))
