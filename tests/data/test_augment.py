"""Variants of a photo: the subject is moved and kept, the rest is another's work."""

import pytest
import torch

from src.data import augment
from src.data.augment import Augment, moved

PROMPTS = ["one", "two", "three"]


def subject(size=64):
    """A photo of noise whose subject is a square a little off the middle."""
    generator = torch.Generator().manual_seed(3)
    mask = torch.zeros(1, size, size)
    mask[:, 24:44, 20:40] = 1
    return torch.rand(3, size, size, generator=generator) * 2 - 1, mask


def painter(calls):
    def inpaint(images, masks, prompts, seeds):
        calls.append((images, masks, prompts, seeds))
        return torch.full_like(images, 0.25)

    return inpaint


def test_the_first_is_the_photo_and_the_others_are_painted_around_the_subject():
    photo, mask = subject()
    variants = Augment(prompts=PROMPTS, count=5, batch=2)(photo, mask, painter([]))
    assert variants.shape == (6, 3, 64, 64)
    assert torch.equal(variants[0], photo)
    for number, variant in enumerate(variants[1:]):
        place, inside = moved(photo, mask, torch.Generator().manual_seed(number))
        whole, nothing = (inside == 1).expand(3, -1, -1), (inside == 0).expand(3, -1, -1)
        assert torch.equal(variant[whole], place[whole])
        assert (variant[nothing] == 0.25).all()


def test_prompts_and_seeds_are_taken_in_turn_and_batches_do_not_matter():
    photo, mask = subject()
    calls, whole = [], []
    Augment(prompts=PROMPTS, count=5, batch=2, seed=7)(photo, mask, painter(calls))
    Augment(prompts=PROMPTS, count=5, batch=9, seed=7)(photo, mask, painter(whole))
    for part in (2, 3):
        assert [item for call in calls for item in call[part]] == list(whole[0][part])
    assert list(whole[0][2]) == ["one", "two", "three", "one", "two"]
    assert torch.equal(torch.cat([call[0] for call in calls]), whole[0][0])


def test_the_subject_is_turned_shifted_and_shrunk_within_the_paper_s_bounds():
    photo, mask = subject()
    areas, shifts = [], []
    start = mask[0].nonzero().double().mean(0)
    for seed in range(60):
        place = moved(photo, mask, torch.Generator().manual_seed(seed))[1]
        areas.append(float(place.sum() / mask.sum()))
        weight = place[0].double()
        centre = torch.stack([(weight.sum(1) * torch.arange(64)).sum(), (weight.sum(0) * torch.arange(64)).sum()])
        shifts.append((centre / weight.sum() - start).abs().max())
    low, high = augment.SCALE
    assert low**2 * 0.97 <= min(areas) < 0.5
    assert 0.8 < max(areas) <= high**2 * 1.03
    assert 5 < max(shifts) < augment.TRANSLATION * 64 + 5  # turning and shrinking move an off-centre subject, too


def test_a_photo_without_a_subject_is_refused():
    photo, mask = subject()
    with pytest.raises(ValueError, match=r"covers 0\.0% .* no subject"):
        Augment(prompts=PROMPTS)(photo, torch.zeros_like(mask), painter([]))


def test_a_world_of_centred_portraits_moves_its_subjects_less():
    photo, mask = subject()
    for seed in range(20):
        where = {"translation": 0.0, "scale": (1.0, 1.0)}
        place = moved(photo, mask, torch.Generator().manual_seed(seed), **where)[1]
        assert float(place.sum() / mask.sum()) == pytest.approx(1.0, abs=0.03)  # turned alone
    free = Augment(prompts=PROMPTS, count=3)(photo, mask, painter([]))
    held = Augment(prompts=PROMPTS, count=3, translation=0.0, scale=(1.0, 1.0))(photo, mask, painter([]))
    assert not torch.equal(free[1:], held[1:]) and torch.equal(free[0], held[0])


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"count": 0}, "count"),
        ({"prompts": []}, "count"),
        ({"translation": -0.1}, r"translation \(-0.1\)"),
        ({"scale": [1.0, 0.5]}, r"scale \(\[1.0, 0.5\]\)"),
        ({"scale": [1.0]}, r"scale \(\[1.0\]\)"),
    ],
)
def test_settings_that_make_nothing_or_no_place_are_refused(change, named):
    with pytest.raises(ValueError, match=named):
        Augment(**{"prompts": PROMPTS, **change})
