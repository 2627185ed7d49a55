"""Gates 0 and 5 to 8 on closed forms: what is known of somebody who was learned perfectly, or not at all."""

import json
from collections.abc import Callable
from dataclasses import asdict

import pytest
import torch
from torch import Tensor

from src.metrics.identity import Identity
from src.models.base import TextToImage
from src.models.promptnet import PromptNet
from src.tiny_world.base_sampling import noun_embedding
from src.tiny_world.gates.finetuning import finetuning_gate, over_fitted, path_gate
from src.tiny_world.gates.identity import identity_gate, names_gate, share_closer
from src.tiny_world.gates.promptnet_gap import closed_share, third_losses
from src.tiny_world.gates.words import optimise_token
from src.tiny_world.names import Names
from src.tiny_world.renderer.people import SPLITS

PEOPLE = SPLITS["validation"][:40]
Reading = Callable[[list[int] | slice], TextToImage]


def test_an_optimised_token_lowers_the_loss_and_leaves_the_base_alone(
    tiny_base: TextToImage, photo: Tensor, promptnet: PromptNet
) -> None:
    token = optimise_token(tiny_base, photo, steps=12, lr=0.3, batch=4)
    assert token.shape == (1, 1, 32) and not token.requires_grad
    torch.testing.assert_close(token, optimise_token(tiny_base, photo, steps=12, lr=0.3, batch=4))
    assert all(weight.grad is None for weight in tiny_base.parameters())
    start, end = (
        sum(third_losses(tiny_base, promptnet, photo, t, k, draws=4)["token"] for k in range(3))
        for t in (noun_embedding(tiny_base), token)
    )
    assert end < start


def test_a_promptnet_that_says_the_token_closes_all_of_the_gap(
    tiny_base: TextToImage, photo: Tensor, promptnet: PromptNet
) -> None:
    token = torch.randn(1, 1, 32)
    promptnet.region_prompt_output.weight.zero_()
    promptnet.region_prompt_output.bias.copy_(token[0, 0])
    for third in range(3):
        loss = third_losses(tiny_base, promptnet, photo, token, third, draws=3)
        assert loss["promptnet"] == pytest.approx(loss["token"], rel=1e-5)


def test_the_share_of_the_gap() -> None:
    assert closed_share(generic=3.0, promptnet=2.0, token=1.0) == 0.5
    assert closed_share(generic=3.0, promptnet=4.0, token=1.0) == -0.5
    assert closed_share(generic=1.0, promptnet=0.9, token=1.0) == 1.0  # there is no gap
    assert closed_share(generic=1.0, promptnet=1.1, token=1.2) == 0.0


def test_the_share_of_people_who_are_closer() -> None:
    found = torch.ones(4, dtype=torch.bool)
    assert share_closer(torch.eye(4), found) == 1
    assert share_closer(-torch.eye(4), found) == 0
    assert share_closer(torch.zeros(4, 4), found) == 0  # no better than a stranger is no recognition
    assert share_closer(torch.eye(4), torch.tensor([True, True, False, False])) == 0.5


def test_a_finetuning_that_learns_nothing_moves_nothing(
    tiny_base: TextToImage, judge: Identity, promptnet: PromptNet, idle: object
) -> None:
    grid = {(1e-4, 5): 1, (1e-3, 5): 1}
    row = finetuning_gate(tiny_base, promptnet, [judge], idle, people=PEOPLE[:2], grid=grid, steps=2)
    assert row.value == 0 and not row.held
    assert {name: len(curve["each"]) for name, curve in row.details["curves"].items()} == {
        "lr 0.0001, 5 steps": 1,
        "lr 0.001, 5 steps": 2,
    }


def test_who_is_recognised_does_not_depend_on_the_scene(
    tiny_base: TextToImage, judge: Identity, promptnet: PromptNet
) -> None:
    row = identity_gate(tiny_base, promptnet, [judge], people=PEOPLE[:3], steps=2)
    assert 0 <= row.value <= 1 and row.details["judges"]["mean"]["face_found"] == 1
    json.dumps(asdict(row), allow_nan=False)


def test_a_name_says_who_it_is_to_a_base_that_reads_it(tiny_base: TextToImage, judge: Identity) -> None:
    width = tiny_base.text("").shape[-1]
    row = names_gate(tiny_base, Names(width), [judge], people=PEOPLE[:3], steps=2)
    assert row.number == 0 and 0 <= row.value <= 1 and row.details["people"] == 3


def test_the_path_is_looked_at_where_identity_has_come_nine_tenths_of_its_way() -> None:
    path = {0: 0.2, 25: 0.4, 50: 0.6, 100: 0.93, 200: 1.0, 400: 0.9}
    assert over_fitted({n: {"identity": v} for n, v in path.items()}) == 100
    assert over_fitted({0: {"identity": 0.5}, 25: {"identity": 0.4}}) == 0


def test_words_count_along_the_path_as_before_it_for_a_finetuning_that_learns_nothing(
    tiny_base: TextToImage, judge: Identity, promptnet: PromptNet, idle: object, reading: Reading
) -> None:
    """A U-Net that reads what stands at 0 to 3 alone hears no words at all: nothing over nothing is no number."""
    base = reading(slice(4, None))
    row = path_gate(base, promptnet, [judge], idle, people=PEOPLE[:1], path=(5, 10), draws=2, steps=2)
    effects = [step["effect"] for step in row.details["path"].values()]
    assert row.number == 5 and effects == pytest.approx([effects[0]] * 3) and effects[0] > 0
    assert row.details["at"] == 0 and row.details["people"] == 1
