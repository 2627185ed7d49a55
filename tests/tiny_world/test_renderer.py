"""The embedded world's people: pure functions of seeds, disjoint splits, captions that say what is drawn."""

from itertools import combinations

import numpy as np
import pytest
import torch

from src.tiny_world import photos as tiny_people
from src.tiny_world import renderer
from src.tiny_world.renderer.people import SPLITS, Scene, held_out, person, random_scene, reference_scene

SAID = ("style", "headwear", "eyewear", "clothes", "expression", "background")


def scenes(count, seed=0):
    rng = np.random.default_rng(seed)
    return [random_scene(rng) for _ in range(count)]


def test_a_picture_is_a_pure_function_of_person_and_scene():
    scene = scenes(1)[0]
    first, second = renderer.drawing.draw(person(3), scene), renderer.drawing.draw(person(3), scene)
    assert np.array_equal(first[0], second[0])
    assert np.array_equal(first[1], second[1])
    assert not np.array_equal(first[0], renderer.drawing.draw(person(4), scene)[0])


def test_splits_are_disjoint():
    for a, b in combinations(SPLITS.values(), 2):
        assert a.stop <= b.start or b.stop <= a.start


def test_the_mask_covers_the_subject_and_nothing_else():
    """Same pose on two plain backgrounds: outside the mask everything changes, well inside it nothing does."""
    red, blue = (Scene(background=f"{c} background", tilt=5, scale=1.1) for c in ("red", "blue"))
    (a, mask), (b, _) = (renderer.drawing.draw(person(8), scene) for scene in (red, blue))
    changed = (a != b).any(-1)
    assert changed[mask == 0].all()
    assert not changed[mask == 255].any()
    assert 0.2 < (mask > 127).mean() < 0.8


def test_a_full_caption_is_read_back_as_its_scene():
    for scene in scenes(200):
        read = renderer.captions.scene_of(renderer.captions.full_caption(scene), 0)
        assert [getattr(read, slot) for slot in SAID] == [getattr(scene, slot) for slot in SAID]


def test_captions_use_known_words_and_never_tell_who_it_is():
    rng = np.random.default_rng(1)
    words = {word for scene in scenes(500) for word in renderer.captions.caption(scene, rng).split()}
    assert words <= set(renderer.captions.WORDS)
    assert not words & {"bald", "beard", "mole", "freckles", "hair", "old", "man", "woman"}


def test_held_out_combinations_never_occur_in_training():
    assert not any(held_out(scene) for scene in scenes(500))
    everything = [
        Scene(headwear=h, background=b) for h in renderer.people.HEADWEAR for b in renderer.people.BACKGROUNDS
    ]
    assert 0.05 < np.mean([held_out(scene) for scene in everything]) < 0.3


PROMPTS = ["a photo of S* in a suit at the beach", "a photo of S* smiling in the snow", "a watercolour of S*"]


def test_a_reference_photo_shows_nothing_that_a_prompt_asks_for():
    for seed in range(100):
        scene = reference_scene(seed, avoid=tiny_people.asked_values(PROMPTS))
        assert (scene.style, scene.headwear, scene.eyewear) == ("photo", "none", "none")
        assert scene.clothes != "suit"
        assert scene.expression != "smiling"
        assert scene.background not in ("beach", "snow")


def test_a_reference_photo_may_show_all_that_no_prompt_names():
    asked = tiny_people.asked_values(PROMPTS)
    assert asked == {"photo", "watercolour", "suit", "beach", "smiling", "snow"}
    shown = [reference_scene(seed, avoid=asked) for seed in range(500)]
    assert {s.clothes for s in shown} == set(renderer.people.CLOTHES) - asked
    assert {s.expression for s in shown} == set(renderer.people.EXPRESSIONS) - asked
    assert {s.background for s in shown} == set(renderer.people.BACKGROUNDS) - asked


def test_only_what_a_prompt_names_is_asked_for():
    assert renderer.captions.asked_for("a photo of S*") == {"style": "photo"}
    asked = {"style": "pixel art", "headwear": "red hat", "expression": "sad", "background": "night sky"}
    assert renderer.captions.asked_for("pixel art of S* in a red hat looking sad at night") == asked
    assert renderer.captions.asked_for("Pixel Art of S* in a RED hat looking sad at Night") == asked
    scenes = [renderer.captions.scene_of("a photo of S* in a suit", seed) for seed in range(50)]
    assert {s.clothes for s in scenes} == {"suit"}
    assert len({s.background for s in scenes}) > 5 and len({s.expression for s in scenes}) > 2


def test_marks_stand_out_from_the_skin_and_are_large_enough():
    for seed in range(300):
        who = person(seed)
        contrast = max(abs(a - b) for a, b in zip(who.mark, who.skin, strict=True))
        assert contrast > 45, seed
        assert 2 * who.mark_radius * 0.98 > 3


def test_the_oracle_draws_the_person_in_the_scene_of_the_prompt():
    prompt = "a photo of S* wearing a red hat at the beach"
    mine, theirs = tiny_people.oracle(7, prompt, 3), tiny_people.stranger(7, prompt, 3)
    assert mine.shape == (3, 64, 64)
    assert torch.equal(mine, tiny_people.oracle(7, prompt, 3))
    assert torch.equal(mine, tiny_people.oracle(7, "A Photo of S* wearing a RED hat at the beach", 3))
    assert not torch.equal(mine, theirs)
    assert torch.equal(theirs, tiny_people.oracle(507, prompt, 3))


def test_a_prompt_without_a_style_is_refused():
    with pytest.raises(ValueError, match="no known style"):
        renderer.captions.scene_of("S* at the beach", 0)


def test_the_mask_of_a_reference_is_that_very_photos():
    """Outside it lies nothing but the background: there, the person does not matter."""
    prompts = ["a photo of S* wearing a red hat at the beach"]
    photo = tiny_people.reference(300_001, prompts)
    mask = tiny_people.mask(photo, 300_001, prompts)
    assert mask.shape == (1, 1, 64, 64)
    scene = reference_scene(300_001, avoid=tiny_people.asked_values(prompts))
    nobody_else = tiny_people.picture(300_002, scene)[None]
    outside = (mask == 0).expand_as(photo) & (
        torch.from_numpy(renderer.drawing.draw(person(300_002), scene)[1])[None, None] == 0
    )
    assert outside.float().mean() > 0.2
    assert torch.equal(photo[outside], nobody_else[outside])


def test_several_photos_show_one_person_in_scenes_of_their_own_with_a_mask_each():
    photos = tiny_people.reference(300_100, PROMPTS, photos=3)
    masks = tiny_people.mask(photos, 300_100, PROMPTS)
    assert photos.shape == (3, 3, 64, 64) and masks.shape == (3, 1, 64, 64)
    assert torch.equal(photos[:1], tiny_people.reference(300_100, PROMPTS))
    for (photo, mask), (other, _) in combinations(zip(photos, masks, strict=True), 2):
        assert not torch.equal(photo, other)
        assert 0.1 < float(mask.mean()) < 0.9
    with pytest.raises(ValueError, match=r"the renderer has no mask of ada: set mask@world\.augmentation\.mask"):
        tiny_people.mask(photos, "ada", PROMPTS)
