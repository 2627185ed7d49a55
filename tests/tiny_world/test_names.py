"""A base that knows people by name: names begin as "person", and are told apart by who they stand for."""

import torch

from src.tiny_world.generator import Names, named

CAPTIONS = ["a photo of a person smiling", "a sketch of somebody in the city wearing a crown", ""]


def test_half_of_the_captions_name_the_person_and_the_rest_of_the_words_stay():
    many = CAPTIONS * 400
    called = named(many, torch.Generator().manual_seed(1))
    changed = [new for new, old in zip(called, many, strict=True) if new != old]
    assert set(changed) == {"a photo of S* smiling", "a sketch of S* in the city wearing a crown"}
    assert 350 < len(changed) < 450


def test_a_name_begins_as_the_noun_and_becomes_a_function_of_the_person():
    names, noun = Names(), torch.randn(1, 1, 160, generator=torch.Generator().manual_seed(2))
    assert torch.equal(names([3, 4], noun), noun.expand(2, -1, -1))
    (names([3, 4], noun) ** 2).sum().backward()
    assert names.map[2].weight.grad.abs().sum() > 0
    torch.nn.init.normal_(names.map[2].weight)
    first, second, again = names([3, 4, 3], noun)
    assert torch.allclose(first, again, atol=1e-4) and not torch.allclose(first, second)
