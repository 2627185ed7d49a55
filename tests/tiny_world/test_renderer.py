"""The embedded world's people: pure functions of seeds, disjoint splits, captions that say what is drawn."""

from itertools import combinations

import numpy as np
import pytest

from src.tiny_world.renderer import captions
from src.tiny_world.renderer.drawing import draw
from src.tiny_world.renderer.people import SPLITS, person_from
from src.tiny_world.renderer.scenes import BACKGROUNDS, HEADWEAR, Scene, held_out, random_scene

SAID = ("style", "headwear", "eyewear", "clothes", "expression", "background")


def scenes(count, seed=0):
    rng = np.random.default_rng(seed)
    return [random_scene(rng) for _ in range(count)]


def test_a_picture_is_a_pure_function_of_person_and_scene():
    scene = scenes(1)[0]
    first, second = draw(person_from(3), scene), draw(person_from(3), scene)
    assert np.array_equal(first[0], second[0])
    assert np.array_equal(first[1], second[1])
    assert not np.array_equal(first[0], draw(person_from(4), scene)[0])


def test_splits_are_disjoint():
    for a, b in combinations(SPLITS.values(), 2):
        assert a.stop <= b.start or b.stop <= a.start


def test_the_mask_covers_the_subject_and_nothing_else():
    """Same pose on two plain backgrounds: outside the mask everything changes, well inside it nothing does."""
    red, blue = (Scene(background=f"{c} background", tilt=5, scale=1.1) for c in ("red", "blue"))
    (a, mask), (b, _) = (draw(person_from(8), scene) for scene in (red, blue))
    changed = (a != b).any(-1)
    assert changed[mask == 0].all()
    assert not changed[mask == 255].any()
    assert 0.2 < (mask > 127).mean() < 0.8


def test_a_full_caption_is_read_back_as_its_scene():
    for scene in scenes(200):
        read = captions.scene_of(captions.full_caption(scene), 0)
        assert [getattr(read, slot) for slot in SAID] == [getattr(scene, slot) for slot in SAID]


def test_captions_use_known_words_and_never_tell_who_it_is():
    rng = np.random.default_rng(1)
    words = {word for scene in scenes(500) for word in captions.caption(scene, rng).split()}
    assert words <= set(captions.WORDS)
    assert not words & {"bald", "beard", "mole", "freckles", "hair", "old", "man", "woman"}


def test_held_out_combinations_never_occur_in_training():
    assert not any(held_out(scene) for scene in scenes(500))
    everything = [Scene(headwear=h, background=b) for h in HEADWEAR for b in BACKGROUNDS]
    assert 0.05 < np.mean([held_out(scene) for scene in everything]) < 0.3


def test_only_what_a_prompt_names_is_asked_for():
    assert captions.asked_for("a photo of S*") == {"style": "photo"}
    asked = {"style": "pixel art", "headwear": "red hat", "expression": "sad", "background": "night sky"}
    assert captions.asked_for("pixel art of S* in a red hat looking sad at night") == asked
    assert captions.asked_for("Pixel Art of S* in a RED hat looking sad at Night") == asked
    scenes = [captions.scene_of("a photo of S* in a suit", seed) for seed in range(50)]
    assert {s.clothes for s in scenes} == {"suit"}
    assert len({s.background for s in scenes}) > 5 and len({s.expression for s in scenes}) > 2


def test_marks_stand_out_from_the_skin_and_are_large_enough():
    for seed in range(300):
        who = person_from(seed)
        contrast = max(abs(a - b) for a, b in zip(who.mark, who.skin, strict=True))
        assert contrast > 45, seed
        assert 2 * who.mark_radius * 0.98 > 3


def test_a_prompt_without_a_style_is_refused():
    with pytest.raises(ValueError, match="no known style"):
        captions.scene_of("S* at the beach", 0)
