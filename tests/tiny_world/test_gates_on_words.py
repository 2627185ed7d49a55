"""Gates 4 and 5 on U-Nets whose noise is a linear reading of some of the text states."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from src.models.base import TextToImage
from src.tiny_world.base_sampling import noun_embedding
from src.tiny_world.gates.words import remaining_influence, token_effects

Reading = Callable[[list[int] | slice], TextToImage]
PROMPT, GENERIC = "a photo of S* wearing a red hat", "a photo of a person wearing a red hat"


def influence(base: TextToImage, photo: Tensor) -> dict[str, float]:
    token = torch.randn(1, 1, 32, generator=torch.Generator().manual_seed(1))
    return remaining_influence(base, photo, token, PROMPT, draws=3)


def test_gamma_is_inert_for_a_unet_that_reads_elsewhere(
    tiny_base: TextToImage, reading: Reading, photo: Tensor
) -> None:
    left = influence(reading([9, -1]), photo)  # end token and the last pad
    assert all(left[f"position {gamma}"] == pytest.approx(1, abs=1e-5) for gamma in (0.6, 0.3, 0.0))


def test_gamma_is_all_for_a_unet_that_reads_the_word_alone(
    tiny_base: TextToImage, reading: Reading, photo: Tensor
) -> None:
    left = influence(reading([4]), photo)
    token = torch.randn(1, 1, 32, generator=torch.Generator().manual_seed(1))
    own, generic = tiny_base.text([PROMPT], token)[0, 4, :4], tiny_base.text([GENERIC])[0, 4, :4]
    expected = generic.norm() / (own - generic).norm()  # nothing of S* is left: what differs is the word it replaces
    assert left["position 0.0"] == pytest.approx(float(expected), rel=1e-4)


def test_interpolation_is_linear_for_a_linear_unet(tiny_base: TextToImage, reading: Reading, photo: Tensor) -> None:
    left = influence(reading(slice(None)), photo)
    assert [left[f"interpolate {g}"] for g in (0.6, 0.3, 0.0)] == pytest.approx([0.6, 0.3, 0.0], abs=1e-4)


def test_interpolation_at_gamma_0_is_nothing_for_any_unet(
    tiny_base: TextToImage, reading: Reading, photo: Tensor
) -> None:
    assert influence(tiny_base, photo)["interpolate 0.0"] == pytest.approx(0, abs=1e-5)


def test_words_change_nothing_for_a_unet_that_reads_what_stands_before_them(
    tiny_base: TextToImage, reading: Reading, photo: Tensor
) -> None:
    token = noun_embedding(tiny_base)
    changed = token_effects(reading([1, 2, 3, 4]), photo, token, ["at the beach"], draws=2)
    assert changed == ([pytest.approx(0, abs=1e-4)], [pytest.approx(0, abs=1e-4)])


def test_a_word_counts_after_s_as_it_does_after_the_noun_that_s_is(
    tiny_base: TextToImage, reading: Reading, photo: Tensor
) -> None:
    """With a U-Net that reads what stands at 4 and later, both effects are the norm of the text states' difference."""
    token = noun_embedding(tiny_base)
    (after,), (generic,) = token_effects(reading(slice(4, None)), photo, token, ["at the beach"], draws=2)
    for found, texts in (
        (after, tiny_base.text(["a photo of S*", "a photo of S* at the beach"], token)),
        (generic, tiny_base.text(["a photo of a person", "a photo of a person at the beach"])),
    ):
        bare, said = texts[:, 4:, :4].sum(1)
        assert found == pytest.approx(16 * float((said - bare).norm()), rel=1e-3)
