"""Names of people: as far from their noun as the gain says, and read as a pseudo-word is."""

import torch

from src.models.prompts import encode
from src.tiny_world.generator import TEXT_WIDTH
from src.tiny_world.names import encode_named, noun_of, traits, traits_of
from src.tiny_world.renderer.people import SPLITS, person_from
from src.tiny_world.training.corpus import NOUN, word_ids
from tests.tiny_world.conftest import ids_of


def test_traits_are_standardised_over_training_people(names):
    known = (traits_of(SPLITS["train"][:500]) - names.mean) / names.std
    assert known.mean(0).abs().max() < 0.25 and (known.std(0) - 1).abs().median() < 0.1
    assert known.abs().max() < 12  # raw ones reach 80


def test_a_name_is_as_far_from_its_noun_as_the_gain_says_and_is_the_persons_own(names):
    noun = torch.randn(TEXT_WIDTH, generator=torch.Generator().manual_seed(2))
    first, second, again = names(traits_of([7, 8, 7]), noun)
    torch.testing.assert_close((first - noun).norm(), torch.tensor(0.1 * TEXT_WIDTH**0.5), rtol=1e-2, atol=0)
    assert torch.allclose(first, again, atol=1e-4) and (first - second).norm() > 0.1


@torch.no_grad()
def test_a_name_is_read_as_a_pseudo_word_is(tokenizer, text_encoder, names):
    name = names(traits_of([3]), noun_of(text_encoder, word_ids(tokenizer)[NOUN]))
    ids = ids_of(tokenizer, f"a photo of {NOUN} wearing a red hat")
    ours = encode_named(text_encoder, ids, name, torch.tensor([4]))
    sampled = encode(text_encoder, tokenizer, "a photo of S* wearing a red hat", name[:, None])
    torch.testing.assert_close(ours, sampled)


@torch.no_grad()
def test_a_caption_without_a_name_is_read_as_it_stands(tokenizer, text_encoder, names):
    ids = ids_of(tokenizer, "a photo of a person")
    name = names(traits_of([3]), noun_of(text_encoder, 5))
    plain = text_encoder(ids).last_hidden_state
    torch.testing.assert_close(encode_named(text_encoder, ids, name, torch.tensor([0])), plain)


def test_traits_tell_people_apart_and_have_one_length() -> None:
    all_traits = torch.stack([traits(person_from(seed)) for seed in range(20)])
    assert torch.pdist(all_traits).min() > 0.1 and all_traits.isfinite().all()
