"""The embedded world's judges: their words, their losses, their measures, and one small training of each kind."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from src.metrics.identity import Identity
from src.metrics.text_similarity import TextSimilarity
from src.tiny_world.judges import identity, presence, text
from src.tiny_world.judges.corruption import corrupt
from src.tiny_world.renderer.captions import WORDS, full_caption
from src.tiny_world.renderer.scenes import scene_for
from src.tiny_world.training.checkpoints import averaged
from src.tiny_world.training.loop import Budget


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_each_caption_word_is_one_token_and_the_end_has_the_highest_id() -> None:
    tokenizer = text.build_tokenizer()
    assert all(len(tokenizer.encode(word, add_special_tokens=False).ids) == 1 for word in WORDS)
    ids = tokenizer.encode("a photo of a person").ids
    assert len(ids) == 7 and ids[-1] == max(ids) == tokenizer.get_vocab_size() - 1


def test_other_words_are_spelt_and_never_refused() -> None:
    tokenizer = text.build_tokenizer()
    assert "".join(tokenizer.encode("wizards7", add_special_tokens=False).tokens) == "wizards7</w>"
    assert text.UNKNOWN in tokenizer.encode("é").tokens


def test_the_tokenizer_is_the_same_in_every_process() -> None:
    assert text.build_tokenizer().to_str() == text.build_tokenizer().to_str()
    merges = text._merges(["aab", "ab"])  # "b" ends both words; the commonest pair first
    assert merges == [("a", "b</w>"), ("a", "ab</w>")]


def test_the_longest_caption_fits() -> None:
    tokenizer = text.build_tokenizer()
    scenes = [scene_for(seed) for seed in range(500)]
    assert max(len(tokenizer.encode(full_caption(s)).ids) for s in scenes) <= text.CONTEXT


def test_a_near_miss_differs_in_one_thing_or_in_the_places_of_two_colours() -> None:
    kinds = set()
    for seed in range(300):
        scene = scene_for(seed)
        miss = text.near_miss(scene, np.random.default_rng(seed))
        changed = [slot for slot in text.SLOTS if getattr(miss, slot) != getattr(scene, slot)]
        kinds.add(tuple(changed))
        assert len(changed) == 1 or changed == ["headwear", "clothes"]
        if len(changed) == 2:
            colours = [getattr(scene, slot).split()[0] for slot in changed]
            assert [getattr(miss, slot).split()[0] for slot in changed] == colours[::-1]
    assert len(kinds) == len(text.SLOTS) + 1


def test_the_contrastive_loss_is_clips_where_all_near_misses_read_like_the_captions() -> None:
    logits = torch.randn(4, 8, generator=generator())
    logits[:, 4:] = -1e4
    own, truth = logits[:, :4], torch.arange(4)
    clip = (F.cross_entropy(own, truth) + F.cross_entropy(own.T, truth)) / 2
    torch.testing.assert_close(text.contrastive_loss(logits, own.T, torch.zeros(4, dtype=torch.bool)), clip)
    logits[truth, 4 + truth] = 50.0  # would be a heavy loss, were they not the same captions
    torch.testing.assert_close(text.contrastive_loss(logits, own.T, torch.ones(4, dtype=torch.bool)), clip)


def test_the_margin_softmax_is_a_softmax_whose_right_answers_lost_the_margin() -> None:
    cosine, who = torch.rand(5, 6, generator=generator()) * 2 - 1, torch.tensor([0, 1, 2, 3, 5])
    margin_loss = identity.margin_softmax_loss(cosine, who)
    assert margin_loss > F.cross_entropy(identity.SCALE * cosine, who)
    cosine[torch.arange(5), who] -= identity.MARGIN
    torch.testing.assert_close(margin_loss, F.cross_entropy(identity.SCALE * cosine, who))


def test_corruption_is_a_pure_function_of_the_generator_and_stays_in_range() -> None:
    images = torch.rand(4, 3, 64, 64, generator=generator()) * 2 - 1
    one, two, other = (corrupt(images, generator(seed)) for seed in (1, 1, 2))
    assert torch.equal(one, two) and not torch.equal(one, other)
    assert one.shape == images.shape and one.abs().max() <= 1 + 1e-6


def test_ruined_pictures_are_all_changed_and_in_range() -> None:
    images, masks = torch.rand(16, 3, 64, 64, generator=generator()) * 2 - 1, torch.ones(16, 1, 64, 64)
    before = images.clone()
    ruined = presence.ruined(images, masks, generator())
    assert ruined.shape == images.shape and ruined.abs().max() <= 1 + 1e-6 and torch.equal(images, before)
    assert presence.ruined(images[:3], masks[:3], generator()).shape[0] == 3


def test_unknown_judges_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="text_z"):
        text.model_config("text_z", 100)
    with pytest.raises(ValueError, match="identity_z"):
        identity.new_recogniser("identity_z")
    with pytest.raises(FileNotFoundError, match="text_a"):
        text.export_text_judge(tmp_path, "text_a", tmp_path / "text_a")


@pytest.fixture
def little_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(text.TRAINING_PICTURES, "count", 20)
    monkeypatch.setitem(identity.TRAINING_PICTURES, "count", 20)


@pytest.mark.parametrize("name", text.VISION)
def test_a_text_judge_trains_resumes_and_is_exported(name: str, tmp_path: Path, little_data: None) -> None:
    text.train_text_judge(tmp_path, name, budget=Budget(1), device=torch.device("cpu"))
    run = text.train_text_judge(tmp_path, name, budget=Budget(2), device=torch.device("cpu"))
    assert run["steps"] == 2 and 0.5e6 < run["parameters"] < 2e6
    text.export_text_judge(tmp_path, name, tmp_path / name)
    judge = TextSimilarity(name=name, model=f"local-dir:{tmp_path / name}")
    tokenizer = text.build_tokenizer()
    net = text.TextJudgeInTraining(name, tokenizer.get_vocab_size())
    averaged(net, tmp_path / f"{name}.pt")
    wanted = F.normalize(net.clip.encode_text(text.tokenize(tokenizer, ["a red hat"])), dim=-1)
    torch.testing.assert_close(judge.embed_texts(["a red hat"]), wanted, atol=2e-3, rtol=0)


def test_recognisers_and_the_presence_net_train_and_are_exported(tmp_path: Path, little_data: None) -> None:
    presence.train_presence_judge(tmp_path, budget=Budget(1), device=torch.device("cpu"))
    for name in identity.NETS:
        run = identity.train_identity_judge(tmp_path, name, budget=Budget(1), device=torch.device("cpu"))
        assert run["parameters"] < 1e6
        identity.export_identity_judge(tmp_path, name, tmp_path / f"{name}.onnx")
        net = identity.new_recogniser(name)
        weights = torch.load(tmp_path / f"{name}.pt", weights_only=True)["average"]
        prefix = "module.recogniser."
        net.load_state_dict({k.removeprefix(prefix): v for k, v in weights.items() if k.startswith(prefix)})
        images = torch.rand(3, 3, 64, 64, generator=generator()) * 2 - 1
        wanted = F.normalize(net.eval()(identity.fitted(images)), dim=-1)
        judge = Identity(name=name, model=str(tmp_path / f"{name}.onnx"))
        torch.testing.assert_close(judge.embed(images), wanted, atol=2e-3, rtol=0)
