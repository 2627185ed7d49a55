"""What is reused is what was written: a complete run lists its files, and what is damaged is named with its remedy."""

import shutil

import pytest
import torch
from PIL import Image

from src.data.photo_index import index_file
from src.data.photos import PhotoFolder
from src.files.whole import read_json
from src.harness.variants import kept_variants
from src.learning.finetune import untuned
from src.metrics.embeddings import Embeddings, prompt_key
from src.models.promptnet import PromptNet
from src.runs import store
from src.runs.listing import LISTING
from src.runs.run import open_run
from src.runs.sides import read_sides

DIGEST = "0123456789abcdef"


def flip(path, place=-2):
    """One bit of a file, as a failing disk leaves it."""
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(bytes(content))


def finished(root):
    with open_run(root, "full", {"a": 1}, DIGEST) as run:
        if not run.complete:
            run.save_image("images/0.png", Image.new("RGB", (8, 8)), {})
            row = {"file": "images/0.png", "person": 1, "prompt": "S*", "seed": 0, "photo": ""}
            run.write_scores([{**row, "text/a": 0.12345}])
            store.write_atomic(run.path("table.md"), b"| table |\n")
            run.finish({"images": 1})
        return run, run.scores()


WRITTEN = ("scores.csv", "summary.json", "config.json", "config.yaml", "table.md", "images/0.png", "sittings.jsonl")


DAMAGES = [(name, damage) for name in WRITTEN for damage in ("flipped", "cut", "emptied", "gone")]
DAMAGES.remove(("summary.json", "gone"))  # then the run is not complete


@pytest.mark.parametrize(("name", "damage"), DAMAGES)
def test_a_complete_run_is_reused_as_it_was_written_or_not_at_all(tmp_path, name, damage):
    run, rows = finished(tmp_path)
    assert finished(tmp_path)[1] == rows
    path = run.path(name)
    if damage == "gone":
        path.unlink()
    else:
        whole = path.read_bytes()
        path.write_bytes({"cut": whole[: len(whole) - 3], "emptied": b"", "flipped": whole}[damage])
        if damage == "flipped":
            flip(path)
    with pytest.raises(ValueError, match=name) as error:
        finished(tmp_path)
    assert str(run.folder) in str(error.value) and "delete its folder" in str(error.value)


def test_a_list_that_is_gone_or_damaged_vouches_for_nothing(tmp_path):
    run, _ = finished(tmp_path)
    flip(run.path(LISTING), 1)
    with pytest.raises(ValueError, match=r"files\.json is damaged"):
        finished(tmp_path)
    run.path(LISTING).unlink()
    with pytest.raises(ValueError, match=r"files\.json is missing"):
        finished(tmp_path)


@pytest.mark.parametrize("name", ["scores.csv", "summary.json", "images/300000-00-0.png", "photos/300000.png"])
def test_a_damaged_run_is_not_compared(made, tmp_path, name):
    copy = tmp_path / "full" / "copy"
    shutil.copytree(made["full"], copy)
    assert read_sides([copy])
    flip(copy / name)
    with pytest.raises(ValueError, match=name):
        read_sides([copy])


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"file,text/a\na.png,0.12345\nb.png,0.1", "end is cut off"),
        (b"", "end is cut off"),
        (b"file,text/a\n", "no rows"),
        (b"file,text/a\na.png\n", "row 1 has too many or too few"),
        (b"file,text/a\na.png,0.1,0.2\n", "row 1 has too many or too few"),
        (b'file,text/a\n"a.png,0.1\n', "unexpected end"),
        (b"file,text/a\n\xff\xfe,0.1\n", "decode"),
    ],
)
def test_scores_are_read_whole_or_not_at_all(tmp_path, content, fault):
    (tmp_path / "scores.csv").write_bytes(content)
    with pytest.raises(ValueError, match=rf"scores\.csv is damaged .*{fault}.*delete its folder"):
        store.read_scores(tmp_path / "scores.csv")


@pytest.mark.parametrize(("name", "read"), [("a.json", read_json), ("a.jsonl", store.read_jsonl)])
def test_json_that_is_none_is_named(tmp_path, name, read):
    for content in (b'{"a": }\n', b"\xff\n"):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match=rf"{name} is damaged .*delete its folder"):
            read(tmp_path / name)


def test_a_kept_person_is_taken_bit_for_bit(tmp_path, tiny_base):
    promptnet = PromptNet.from_unet(tiny_base.unet, vision_width=48, text_width=32)
    kept = tmp_path / "ada.safetensors"
    untuned(tiny_base, promptnet).save(kept)
    untuned(tiny_base, promptnet).load(kept)
    flip(kept)
    with pytest.raises(ValueError, match=r"ada\.safetensors has SHA-256 .* it is damaged; delete it to learn again"):
        untuned(tiny_base, promptnet).load(kept)


def test_kept_embeddings_are_taken_bit_for_bit(tmp_path):
    Embeddings(tmp_path).add([prompt_key("a")], torch.ones(1, 4), torch.ones(1))
    (file,) = tmp_path.iterdir()
    assert Embeddings(tmp_path).vectors([prompt_key("a")]).tolist() == [[1, 1, 1, 1]]
    flip(file)
    with pytest.raises(ValueError, match=rf"{file.name} is damaged or foreign .* delete it to look again"):
        Embeddings(tmp_path)


def test_variants_are_all_there_and_as_they_were_made(tmp_path):
    def made():
        return torch.zeros(3, 3, 16, 16)

    kept_variants(tmp_path / "7", 16, made)
    (tmp_path / "7" / "001.png").unlink()
    with pytest.raises(ValueError, match=r"001\.png is missing"):
        kept_variants(tmp_path / "7", 16, made)


def test_an_index_of_photos_is_read_as_it_was_written(tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    indexes = tmp_path / "indexes"
    assert PhotoFolder(tmp_path, size=8, indexes=indexes).names == ["a.png"]
    file = index_file(tmp_path, indexes)
    file.write_text(file.read_text().replace('"a.png"', '"b.png"'))
    with pytest.raises(ValueError, match=r"photo index .* is damaged .*delete it to have it made again"):
        PhotoFolder(tmp_path, size=8, indexes=indexes)
