"""The prompt alone: S* is the generic noun, and no photo, network or file has a part in it."""

import torch

from src.methods.drawing import Sampler
from src.methods.prompt_only import PromptOnly

ROWS = [{"prompt": "joint", "weight": "joint"}]
SAMPLER = Sampler(steps=2, guidance={"joint": 2.0}, joint=[], separate=ROWS, fusion_steps=0)


def test_s_is_called_by_the_generic_noun(tiny_base):
    generic = Sampler(
        **{**vars(SAMPLER), "separate": [{"prompt": "a photo of a person in the snow", "weight": "joint"}]}
    )
    photos = torch.zeros(1, 3, 64, 64)
    one, other = (PromptOnly(s).learn(tiny_base, photos)("a photo of S* in the snow", [1]) for s in (SAMPLER, generic))
    assert torch.equal(one, other)


def test_nobody_is_in_the_images(tiny_base):
    one, other = (PromptOnly(SAMPLER).learn(tiny_base, torch.full((1, 3, 64, 64), grey)) for grey in (-1.0, 1.0))
    assert torch.equal(one("a photo of S*", [2]), other("a photo of S*", [2]))
