"""Gates 1 to 3 on closed forms: what a perfect autoencoder keeps, and what judges are asked."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from src.models.base import TextToImage
from src.models.personal import PersonalNoise
from src.models.promptnet import PromptNet
from src.sampling import Condition, fusion_sample, seeded_randn_like
from src.tiny_world.base_sampling import person_text, sample_rows
from src.tiny_world.gates.autoencoder import (
    KEPT,
    colour_correlation,
    detail_pairs,
    grey_iris,
    no_mark,
    survival,
    visible,
)
from src.tiny_world.gates.captions import (
    GROUP,
    captions_of,
    coloured_scene,
    distinct_scenes,
    preferred,
    swapped,
)
from src.tiny_world.photos import drawn, reference
from src.tiny_world.renderer.people import SPLITS, person_from
from src.tiny_world.renderer.scenes import reference_scene

PEOPLE = SPLITS["validation"][:40]


def blurred(images: Tensor) -> Tensor:
    return F.avg_pool2d(F.pad(images, (4, 4, 4, 4), mode="replicate"), 9, 1)


@pytest.mark.parametrize("without", [no_mark, grey_iris])
def test_a_perfect_vae_keeps_every_detail_and_a_blur_none(without: Callable) -> None:
    shown, hidden = detail_pairs(PEOPLE, without)
    assert len(shown) > 20
    torch.testing.assert_close(survival(lambda x: x, shown, hidden), torch.ones(len(shown)))
    left = survival(lambda x: x / 2 + 0.3, shown, hidden)  # half of the contrast, whatever the tint
    torch.testing.assert_close(left, torch.full_like(left, 0.5))
    assert survival(blurred, shown, hidden).max() < KEPT


def test_the_hue_of_an_iris_is_told_by_what_keeps_it_and_not_by_what_turns_it() -> None:
    pairs = detail_pairs(PEOPLE, grey_iris)
    assert colour_correlation(lambda x: x / 2 + 0.3, *pairs) == pytest.approx(1, abs=1e-4)
    assert colour_correlation(lambda x: -x, *pairs) == pytest.approx(-1, abs=1e-4)


def test_a_mark_that_a_beard_hides_is_not_asked_for() -> None:
    scene = reference_scene(0)
    bare = replace(person_from(0), mark=(62, 28, 24), mark_at="chin", beard="none")
    covered = replace(bare, beard="full", hair=(73, 33, 29))  # a beard of the mark's colour
    for person, seen in ((bare, True), (covered, False)):
        pictures = [drawn(p, scene)[None] for p in (person, replace(person, mark_at="none"))]
        assert visible(*pictures).tolist() == [seen]


def test_colours_are_exchanged_and_nothing_else() -> None:
    for seed in PEOPLE:
        scene = coloured_scene(seed)
        other = swapped(scene)
        assert swapped(other) == scene != other
        assert replace(other, headwear=scene.headwear, clothes=scene.clothes) == scene
        assert other.headwear.split()[0] == scene.clothes.split()[0] != other.clothes.split()[0]


def test_a_judge_prefers_the_caption_it_finds_closer() -> None:
    def judge(images: Tensor, prompts: list[str]) -> Tensor:
        return images.mean((1, 2, 3)) * torch.tensor([1.0 if "red" in p else -1.0 for p in prompts])

    images = torch.stack([torch.full((3, 4, 4), v) for v in (1.0, 1.0, 1.0, -1.0)])
    assert preferred(judge, images, ["red"] * 4, ["blue"] * 4) == 0.75


def test_a_row_of_pictures_is_what_the_sampler_makes_of_it_alone(tiny_base: TextToImage, promptnet: PromptNet) -> None:
    photos = torch.cat([reference(p, ()) for p in PEOPLE[:3]])
    with torch.no_grad():
        text = person_text(tiny_base, promptnet, photos)
        rows = sample_rows(tiny_base, text, [5, 6, 7], guidance=1.5, steps=3, batch=2)
        randn_like = seeded_randn_like([6])
        alone = fusion_sample(
            PersonalNoise(tiny_base, promptnet, photos[1:2]),
            randn_like(torch.empty(1, *tiny_base.latent_shape)),
            tiny_base.schedule(3),
            joint=(),
            separate=[(Condition("a photo of S*", 0), 1.5)],
            fusion_steps=0,
            fusion_eta=0.0,
            eta=0.0,
            randn_like=randn_like,
        )
        torch.testing.assert_close(rows[1:2], tiny_base.decode(alone), atol=1e-4, rtol=0)


def test_captions_differ_within_every_group_of_a_retrieval() -> None:
    chosen = distinct_scenes(SPLITS["validation"][:100])
    captions = captions_of(chosen)
    for start in range(0, len(captions), GROUP):
        group = captions[start : start + GROUP]
        assert len(set(group)) == len(group)
