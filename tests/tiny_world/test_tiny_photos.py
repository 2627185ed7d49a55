"""Photos of the embedded world's people: what they show, whose mask is whose, and what the oracle draws."""

from itertools import combinations

import pytest
import torch

from src.tiny_world import photos
from src.tiny_world.renderer.drawing import draw
from src.tiny_world.renderer.people import person_from
from src.tiny_world.renderer.scenes import BACKGROUNDS, CLOTHES, EXPRESSIONS, reference_scene

PROMPTS = ["a photo of S* in a suit at the beach", "a photo of S* smiling in the snow", "a watercolour of S*"]


def test_a_reference_photo_shows_nothing_that_a_prompt_asks_for():
    for seed in range(100):
        scene = reference_scene(seed, avoid=photos.asked_values(PROMPTS))
        assert (scene.style, scene.headwear, scene.eyewear) == ("photo", "none", "none")
        assert scene.clothes != "suit"
        assert scene.expression != "smiling"
        assert scene.background not in ("beach", "snow")


def test_a_reference_photo_may_show_all_that_no_prompt_names():
    asked = photos.asked_values(PROMPTS)
    assert asked == {"photo", "watercolour", "suit", "beach", "smiling", "snow"}
    shown = [reference_scene(seed, avoid=asked) for seed in range(500)]
    assert {s.clothes for s in shown} == set(CLOTHES) - asked
    assert {s.expression for s in shown} == set(EXPRESSIONS) - asked
    assert {s.background for s in shown} == set(BACKGROUNDS) - asked


def test_the_oracle_draws_the_person_in_the_scene_of_the_prompt():
    prompt = "a photo of S* wearing a red hat at the beach"
    mine, theirs = photos.oracle(7, prompt, 3), photos.stranger(7, prompt, 3)
    assert mine.shape == (3, 64, 64)
    assert torch.equal(mine, photos.oracle(7, prompt, 3))
    assert torch.equal(mine, photos.oracle(7, "A Photo of S* wearing a RED hat at the beach", 3))
    assert not torch.equal(mine, theirs)
    assert torch.equal(theirs, photos.oracle(507, prompt, 3))


def test_the_mask_of_a_reference_is_that_very_photos():
    """Outside it lies nothing but the background: there, the person does not matter."""
    prompts = ["a photo of S* wearing a red hat at the beach"]
    photo = photos.reference(300_001, prompts)
    mask = photos.mask(photo, 300_001, prompts)
    assert mask.shape == (1, 1, 64, 64)
    scene = reference_scene(300_001, avoid=photos.asked_values(prompts))
    nobody_else = photos.picture(300_002, scene)[None]
    outside = (mask == 0).expand_as(photo) & (torch.from_numpy(draw(person_from(300_002), scene)[1])[None, None] == 0)
    assert outside.float().mean() > 0.2
    assert torch.equal(photo[outside], nobody_else[outside])


def test_several_photos_show_one_person_in_scenes_of_their_own_with_a_mask_each():
    several = photos.reference(300_100, PROMPTS, photos=3)
    masks = photos.mask(several, 300_100, PROMPTS)
    assert several.shape == (3, 3, 64, 64) and masks.shape == (3, 1, 64, 64)
    assert torch.equal(several[:1], photos.reference(300_100, PROMPTS))
    for (photo, mask), (other, _) in combinations(zip(several, masks, strict=True), 2):
        assert not torch.equal(photo, other)
        assert 0.1 < float(mask.mean()) < 0.9
    with pytest.raises(ValueError, match=r"the renderer has no mask of ada: set mask@world\.augmentation\.mask"):
        photos.mask(several, "ada", PROMPTS)
