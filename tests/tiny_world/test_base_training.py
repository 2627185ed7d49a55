"""Training of the base: pictures, captions and photos that are kept, and what the U-Net may read of a caption."""

import numpy as np
import torch

from src.tiny_world.names import encode_named, noun_of, traits_of
from src.tiny_world.photos import TinyPhotos
from src.tiny_world.renderer.captions import asked_for
from src.tiny_world.renderer.scenes import STYLES
from src.tiny_world.training.base import named_states, shown_shares, shown_states
from src.tiny_world.training.corpus import COUNT, NOUN, Wordings, word_ids
from src.tiny_world.training.pictures import KeptPhotos, Pictures
from tests.tiny_world.conftest import ids_of


@torch.no_grad()
def test_half_of_a_batch_tells_who_it_is_at_the_name_alone(tokenizer, text_encoder, names):
    noun = noun_of(text_encoder, word_ids(tokenizer)[NOUN])
    ids, at = ids_of(tokenizer, f"a photo of {NOUN} smiling").repeat(4, 1), torch.full((4,), 4)
    own, others = names(traits_of([1, 2, 3, 4]), noun), names(traits_of([2, 1, 3, 4]), noun)
    states, pure = (named_states(text_encoder, ids, own, at), encode_named(text_encoder, ids, own, at))
    foreign = encode_named(text_encoder, ids, others, at)
    torch.testing.assert_close(states[2:], pure[2:])
    torch.testing.assert_close(states[:2, 4], pure[:2, 4])
    torch.testing.assert_close(states[:2, 5:], foreign[:2, 5:])
    assert (states[:2, 5] - pure[:2, 5]).abs().max() > 1e-4


def test_end_token_and_pads_are_another_captions_and_never_its_words(tokenizer):
    short, long = "a photo of a person", "a sketch of somebody smiling at the beach wearing a red hat"
    ids = torch.cat([ids_of(tokenizer, caption) for caption in (short, long)])
    ends = [len(caption.split()) + 1 for caption in (short, long)]
    place = torch.arange(ids.shape[1])
    text = torch.stack([place, 100 + place]).float()[..., None]  # who says it, and where
    many, seen = zip(
        *(shown_states(text, ids, tokenizer.eos_token_id, torch.Generator().manual_seed(s)) for s in range(60)),
        strict=True,
    )
    for states in many:
        for caption, end, other in ((0, ends[0], ends[1]), (1, ends[1], ends[0])):
            assert torch.equal(states[caption, :end], text[caption, :end])
            foreign = states[caption, end:, 0] - text[1 - caption, other, 0]
            assert torch.equal(foreign, torch.arange(len(foreign)).float().clamp(max=ids.shape[1] - 1 - other))
    masks = torch.stack(seen).float()
    assert masks[:, 0, :6].min() == 1 and 0.35 < masks[:, 0, 6].mean() < 0.65 and 0.2 < masks[:, 0, 7:].mean() < 0.55


def test_wordings_say_the_scene_and_half_of_them_call_the_person_by_name(tmp_path, tokenizer):
    pictures = Pictures(tmp_path, first=0, count=6, per_person=2)
    wordings = Wordings(tmp_path, pictures, tokenizer, "cpu")
    for index in range(6):
        rows = wordings.data[index]
        assert STYLES[rows[0, -1]] == pictures.scene_of(index).style
        for number, row in enumerate(rows):
            text = tokenizer.decode(row[:-2], skip_special_tokens=True).replace("!", "").split()
            assert (
                asked_for(" ".join(text).replace(NOUN, "a person")).items() <= vars(pictures.scene_of(index)).items()
                or "style" in text
            )
            position = int(row[-2])
            assert (position > 0) == (number >= COUNT // 2)
            assert not position or (
                row[position] == word_ids(tokenizer)[NOUN] and row[position - 1] != word_ids(tokenizer)["a"]
            )
    ids, at = wordings.sample(torch.arange(6), torch.Generator().manual_seed(0))
    assert ids.shape == (6, tokenizer.model_max_length) and at.shape == (6,)
    assert torch.equal(Wordings(tmp_path, pictures, tokenizer, "cpu").data, wordings.data)


def test_what_is_no_photo_is_shown_more_often():
    styles = torch.tensor([STYLES.index("photo"), STYLES.index("photo"), STYLES.index("watercolour")])
    torch.testing.assert_close(
        shown_shares(styles).diff(prepend=torch.zeros(1).double()), torch.tensor([1, 1, 1.5]).double() / 3.5
    )


def test_kept_photos_are_the_photos_of_the_experiment(tmp_path):
    kept, drawn = KeptPhotos(tmp_path, "train", count=3), TinyPhotos("train", count=3)
    assert kept.names == drawn.names and len(kept) == 3
    for k in range(3):
        np.testing.assert_array_equal(kept[k]["image"], drawn[k]["image"])
