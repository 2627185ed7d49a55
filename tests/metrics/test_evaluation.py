"""Scoring a folder of images: one row an image, and clear words where a file is bad."""

import csv
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from src.files.rows import COLUMNS, Rows
from src.metrics.evaluation import scored_rows
from src.metrics.identity import Identity
from src.metrics.judge import Judges
from src.metrics.pictures import read_picture
from src.metrics.text_similarity import TextSimilarity


@pytest.fixture(scope="module")
def judges(clip_folder: Path, nets: Path) -> Judges:
    text = TextSimilarity(name="t", model=f"local-dir:{clip_folder}")
    faces = Identity(name="i", model=str(nets / "random.onnx"), presence=str(nets / "presence.onnx"))
    return {"text": [text], "identity": [faces]}


def picture(path: Path, seed: int, level: int) -> None:
    noise = torch.randint(-20, 20, (64, 64, 3), generator=torch.Generator().manual_seed(seed))
    Image.fromarray((noise + level).byte().numpy()).save(path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three images (the second dark: no face to the presence net), two photos; image 0 is photo 0."""
    for number, level in enumerate((200, 40, 180)):
        picture(tmp_path / f"{number}.png", number, level)
    picture(tmp_path / "photo0.png", 0, 200)
    picture(tmp_path / "photo1.png", 9, 190)
    prompts = ["a photo of S* wearing a red hat", "a photo of S*", "a pencil sketch of S*"]
    rows = [(f"{n}.png", n // 2, prompts[n], n, "after", f"photo{n // 2}.png") for n in range(3)]
    with (tmp_path / "images.csv").open("w", newline="") as file:
        csv.writer(file).writerows([COLUMNS, *rows])
    return tmp_path


def scored(folder: Path, judges: Judges, *, generic: str = "a person", **how: Any) -> Rows:
    return scored_rows(folder, judges, generic=generic, **how)


def test_rows_carry_the_manifest_and_a_score_per_judge(folder: Path, judges: Judges) -> None:
    text, identity = judges["text"], judges["identity"]
    rows = scored(folder, judges, batch_size=2)
    assert [row["file"] for row in rows] == ["0.png", "1.png", "2.png"] and rows[2]["family"] == "after"
    images = torch.stack([read_picture(folder / row["file"]) for row in rows])
    generic = ["a photo of a person wearing a red hat", "a photo of a person", "a pencil sketch of a person"]
    assert [row["text/t"] for row in rows] == pytest.approx(text[0](images, generic).tolist(), abs=1e-5)
    likeness = identity[0].compare(*map(identity[0].embed, (images[2:], read_picture(folder / "photo1.png")[None])))
    assert rows[2]["identity/i"] == pytest.approx(float(likeness), abs=1e-5)


def test_an_image_without_a_face_scores_zero_and_is_counted(folder: Path, judges: Judges) -> None:
    rows = scored(folder, {"identity": judges["identity"]})
    assert [row["face_found"] for row in rows] == [1, 0, 1]
    assert rows[0]["identity/i"] == pytest.approx(1.0, abs=1e-5) and rows[1]["identity/i"] == 0


def test_the_noun_is_an_argument(folder: Path, judges: Judges) -> None:
    one, other = (scored(folder, {"text": judges["text"]}, generic=noun) for noun in ("a person", "a crown"))
    assert one[0]["text/t"] != other[0]["text/t"]


def test_progress_is_told(folder: Path, judges: Judges) -> None:
    seen: list[tuple[str, int, int]] = []
    scored(folder, {"identity": judges["identity"]}, batch_size=2, on_progress=lambda *done: seen.append(done))
    assert seen == [("i", 2, 4), ("i", 4, 4)]  # image 0 is photo 0: the same content is looked at once


@pytest.mark.parametrize("name", ["1.png", "photo1.png"])
def test_a_missing_or_truncated_file_is_named(folder: Path, judges: Judges, name: str) -> None:
    whole = (folder / name).read_bytes()
    (folder / name).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=name):
        scored(folder, {"identity": judges["identity"]})
    (folder / name).unlink()
    with pytest.raises(ValueError, match=name):
        scored(folder, {"identity": judges["identity"]})


def test_a_file_that_is_no_image_is_named(folder: Path, judges: Judges) -> None:
    (folder / "2.png").write_text("no image")
    with pytest.raises(ValueError, match=r"2\.png"):
        scored(folder, {"text": judges["text"]})


def test_images_may_differ_in_size(folder: Path, judges: Judges) -> None:
    before = scored(folder, judges)
    Image.new("RGB", (32, 48)).save(folder / "1.png")
    after = scored(folder, judges)
    assert after[1]["text/t"] != before[1]["text/t"]
    assert after[2]["text/t"] == pytest.approx(before[2]["text/t"], abs=1e-5)


def test_a_missing_column_and_a_missing_manifest_are_named(folder: Path, judges: Judges) -> None:
    (folder / "images.csv").write_text("file,person\n0.png,0\n")
    with pytest.raises(ValueError, match="prompt, seed, family, photo"):
        scored(folder, {"text": judges["text"]})
    (folder / "images.csv").unlink()
    with pytest.raises(FileNotFoundError, match=r"images\.csv"):
        scored(folder, {"text": judges["text"]})
