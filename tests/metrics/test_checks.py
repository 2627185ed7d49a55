"""Before anything is drawn or judged: prompts that a judge would cut, and reference photos with no face or several."""

from pathlib import Path

import open_clip
import pytest
import torch
from PIL import Image

from src.metrics.checks import check_lengths, look_at_photos
from src.metrics.columns import extra_columns
from src.metrics.pictures import Album
from src.metrics.scene import Scene, foreign_placeholders
from src.metrics.text_similarity import TextSimilarity
from src.metrics.walk import embed_scene, walk

WORDS = 30  # that fit into the 32 tokens of the random judge, beside its begin and end


@pytest.fixture(scope="module")
def judge(clip_folder: Path) -> TextSimilarity:
    return TextSimilarity(name="t", model=f"local-dir:{clip_folder}", device="cpu")


@pytest.mark.parametrize(("words", "fits"), [(1, True), (WORDS, True), (WORDS + 1, False), (3 * WORDS, False)])
def test_a_prompt_that_a_judge_would_cut_is_named(judge: TextSimilarity, words: int, fits: bool) -> None:
    prompt = " ".join(["red"] * words)
    assert judge.too_long(["", "a hat", prompt]) == ([] if fits else [prompt])
    if not fits:
        with pytest.raises(ValueError, match=rf'1 prompt\(s\) are too long for a judge.*"{prompt}" \(for t\); shorten'):
            check_lengths([judge], ["a hat", prompt, prompt])


def test_clips_own_tokenizer_is_asked_likewise() -> None:
    """77 tokens of OpenAI's CLIP, whose tokenizer is part of open_clip."""
    clip = TextSimilarity(name="b32", model="ViT-B-32", pretrained="openai", device="cpu")
    assert isinstance(clip.tokenizer, open_clip.tokenizer.SimpleTokenizer)
    fits, long = " ".join(["hat"] * 75), " ".join(["hat"] * 76)
    assert clip.too_long([fits, long, f"{fits} on the beach", f"{fits} in the snow"])[0] == long
    assert fits not in clip.too_long([fits])


class Ideal:
    """Prompts of equal words have one vector; a picture's vector is that of the word for its level."""

    name = "ideal"

    def release(self): ...

    def see(self, pictures):
        level = torch.stack([picture.float().mean() for picture in pictures]) > 100
        return torch.nn.functional.one_hot(level.long(), 2).float(), torch.ones(len(pictures))

    def say(self, prompts):
        return torch.nn.functional.one_hot(torch.tensor(["bright" in p.lower() for p in prompts]).long(), 2).float()

    def compare(self, a, b):
        return (a * b).sum(-1)


def test_of_prompts_that_a_judge_cannot_tell_apart_none_is_right_by_order(tmp_path: Path) -> None:
    prompts = ["bright", "Bright", "dark"]
    for number, grey in enumerate((200, 200, 10)):
        Image.new("L", (8, 8 + number), grey).save(tmp_path / f"{number}.png")
    rows = [{"file": f"{n}.png", "person": "a", "prompt": p, "seed": 0} for n, p in enumerate(prompts)]
    scene = Scene(rows, [tmp_path / row["file"] for row in rows], [], {})
    columns = extra_columns(embed_scene(scene, {"text": [Ideal()]}, generic="a person"))
    assert columns["right/ideal"] == [1, 1, 1]


class Detector:
    """Finds as many faces as a picture is bright: none below 50, one below 150, else three."""

    def __init__(self):
        self.name, self.seen = "detector", []

    def release(self): ...

    def see(self, pictures):
        levels = [float(picture.float().mean()) for picture in pictures]
        self.seen += levels
        faces = torch.tensor([0 if level < 50 else 1 if level < 150 else 3 for level in levels])
        vectors = torch.ones(len(pictures), 4)
        vectors[faces == 0] = torch.nan
        return vectors, faces


def plain(level: int) -> torch.Tensor:
    return torch.full((3, 8, 8), level, dtype=torch.uint8)


def test_reference_photos_with_several_faces_are_said_and_without_one_refused() -> None:
    judges = [Detector()]
    assert look_at_photos(judges, {"one.png": plain(100)}) == []
    assert look_at_photos(judges, {"group.png": plain(200)}) == [
        "detector finds 3 faces in group.png: the largest is taken"
    ]
    with pytest.raises(ValueError, match=r"detector finds no face in the photo\(s\) cat\.png: give others"):
        look_at_photos(judges, {"one.png": plain(100), "cat.png": plain(10)})
    also = look_at_photos(judges, {"one.png": plain(100), "cat.png": plain(10)}, compared=["one.png"])
    assert also == ["detector finds no face in cat.png: it is compared as it is, if at all"]


def test_reference_photos_are_looked_at_before_the_images(tmp_path: Path) -> None:
    for number, level in enumerate((100, 110, 120, 130, 20)):
        Image.new("L", (8, 8), level).save(tmp_path / f"{number}.png")
    album, detector = Album([tmp_path / f"{number}.png" for number in range(5)]), Detector()
    with pytest.raises(ValueError, match=r"no face in the photo\(s\) \S+4\.png"):
        walk({"identity": [detector]}, album, [], kept={}, photos=[tmp_path / "4.png"], batch_size=1)
    assert detector.seen == [20]


@pytest.mark.parametrize(
    ("prompts", "words"),
    [
        (["a photo of sks person", "sks person in snow"], ["sks"]),
        (["a photo of s*"], ["s*"]),
        (["a photo of s *"], ["s *"]),
        (["a photo of <new1> man", "a <cat-toy>"], ["<new1>", "<cat-toy>"]),
        (["a photo of [V] man"], ["[V]"]),
        (["a photo of V* in snow"], ["V*"]),
        (["a photo of S* in snow", "sks person"], []),
        (["a photo of a person", "a portrait, 85 mm, f/2"], []),
    ],
)
def test_another_programs_placeholder_is_noted_where_no_row_has_ours(prompts: list[str], words: list[str]) -> None:
    notes = foreign_placeholders([{"prompt": prompt} for prompt in prompts])
    assert len(notes) == bool(words)
    assert all(f'"{word}"' in notes[0] for word in words)
