"""Nothing is looked at twice by one judge, and one judge's nets are in memory at a time."""

from pathlib import Path

import pytest
import torch
from PIL import Image

from src.metrics.embeddings import Embeddings, prompt_key
from src.metrics.identity import Identity
from src.metrics.pictures import Album
from src.metrics.text_similarity import TextSimilarity
from src.metrics.walk import walk

PROMPTS = ["a red hat", "snow"]


@pytest.fixture
def album(tmp_path: Path) -> Album:
    """Four pictures; the last has the content of the first."""
    for number in (0, 1, 2, 0):
        name = f"{number}.png" if not (tmp_path / "0.png").exists() or number else "again.png"
        Image.fromarray(torch.full((40, 32, 3), 60 * number + 50).byte().numpy()).save(tmp_path / name)
    return Album([tmp_path / name for name in ("0.png", "1.png", "2.png", "again.png")])


def judges(clip_folder: Path, nets: Path) -> dict:
    text = TextSimilarity(name="t", model=f"local-dir:{clip_folder}", device="cpu")
    return {"text": [text], "identity": [Identity(name="i", model=str(nets / "random.onnx"))]}


def told(log: list):
    return lambda judge, done, total: log.append((judge, done, total))


def test_what_is_kept_is_what_was_seen(album: Album, clip_folder: Path, nets: Path, tmp_path: Path) -> None:
    kept = {name: tmp_path / "kept" / name for name in "ti"}
    fresh = walk(judges(clip_folder, nets), album, PROMPTS, kept=kept)
    read, loose = Embeddings(kept["t"]), walk(judges(clip_folder, nets), album, PROMPTS, kept={})
    keys = [*(album.digest[path] for path in album.paths), *map(prompt_key, PROMPTS)]
    torch.testing.assert_close(read.vectors(keys), fresh["t"].vectors(keys))
    torch.testing.assert_close(loose["t"].vectors(keys), fresh["t"].vectors(keys))


def test_one_more_judge_costs_that_judge_alone(album: Album, clip_folder: Path, nets: Path, tmp_path: Path) -> None:
    both, log = judges(clip_folder, nets), []
    kept = {name: tmp_path / "kept" / name for name in "ti"}
    walk({"text": both["text"]}, album, PROMPTS, kept=kept, on_progress=told(log))
    assert log == [("t", 3, 3)]  # the same content is looked at once
    log.clear()
    walk(both, album, PROMPTS, kept=kept, on_progress=told(log))
    assert log == [("i", 3, 3)]
    (kept["t"] / next(kept["t"].iterdir()).name).unlink()
    log.clear()
    walk(both, album, PROMPTS, kept=kept, on_progress=told(log))
    assert {judge for judge, _, _ in log} <= {"t"}


def test_one_net_is_in_memory_at_a_time(album: Album, clip_folder: Path, nets: Path) -> None:
    several, held = judges(clip_folder, nets), []
    text, identity = several["text"][0], several["identity"][0]

    def count(*_: object) -> None:
        held.append(("clip" in text.__dict__) + ("recogniser" in identity.__dict__))

    walk(several, album, PROMPTS, kept={}, batch_size=1, on_progress=count)
    assert set(held) == {1} and "clip" not in text.__dict__ and "recogniser" not in identity.__dict__


def test_a_small_room_gives_the_same_embeddings(album: Album, clip_folder: Path, nets: Path) -> None:
    small = Album(album.paths, room=1)
    assert [len(part) for part in small.parts()] == [1, 1, 1] and [len(part) for part in album.parts()] == [3]
    keys = [album.digest[path] for path in album.paths]
    one, other = (walk(judges(clip_folder, nets), each, PROMPTS, kept={}) for each in (album, small))
    torch.testing.assert_close(one["i"].vectors(keys), other["i"].vectors(keys), atol=1e-5, rtol=0)


def test_every_damaged_file_is_named(tmp_path: Path) -> None:
    Image.new("RGB", (64, 64)).save(tmp_path / "good.png")
    (tmp_path / "words.png").write_text("no image")
    with pytest.raises(ValueError, match=r"2 image\(s\).*words\.png.*absent\.png"):
        Album([tmp_path / name for name in ("good.png", "words.png", "absent.png")])


def test_a_picture_without_a_face_has_no_vector() -> None:
    seen = Embeddings()
    seen.add(
        [prompt_key("a"), prompt_key("b")], torch.tensor([[3.0, 4.0], [torch.nan, torch.nan]]), torch.tensor([2, 0])
    )
    seen.add(
        [prompt_key("c")], torch.full((1, 1), torch.nan), torch.tensor([0])
    )  # none in the whole batch: its width is 1
    vectors = seen.vectors([prompt_key(word) for word in "abc"])
    assert vectors.shape == (3, 2) and vectors[0].tolist() == [3, 4] and vectors[1:].isnan().all()
    assert seen.faces([prompt_key(word) for word in "abc"]).tolist() == [2, 0, 0]
