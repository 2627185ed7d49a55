"""Shards give the numbers that the photos give, to any worker, and hold nothing that could run."""

import json

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from src.data.photos import PhotoFolder
from src.data.shards import Shards, write_shards
from tests.data.test_photos import write


@pytest.fixture
def photos(tmp_path):
    rng = np.random.default_rng(0)
    for k in range(7):
        write(tmp_path / "photos" / f"{k:05d}.png", rng.integers(0, 256, (20, 24, 3)))
    return PhotoFolder(tmp_path / "photos", size=16)


@pytest.fixture
def shards(photos, tmp_path, monkeypatch):
    monkeypatch.setattr("src.data.shards.SHARD_BYTES", 2000)  # several shards, though the photos are small
    write_shards(photos, tmp_path / "shards")
    return tmp_path / "shards"


def test_shards_give_the_very_numbers_of_the_folder(photos, shards):
    assert len(list(shards.glob("*.bin"))) > 2
    read = Shards(shards, size=16)
    assert read.names == photos.names and len(read) == 7
    assert all(torch.equal(read[k]["image"], photos[k]["image"]) for k in (6, 0, 3, 3, 1, 2, 4, 5))


@pytest.mark.parametrize("ranks", [1, 3])
def test_a_photo_is_the_same_for_every_rank_and_worker(photos, shards, monkeypatch, ranks):
    """litdata's own order depends on both; ours asks by number."""
    monkeypatch.setattr("torch.distributed.is_initialized", lambda: ranks > 1)
    monkeypatch.setattr("torch.distributed.get_world_size", lambda: ranks)
    monkeypatch.setattr("torch.distributed.get_rank", lambda: ranks - 1)
    read = Shards(shards, size=16)
    assert len(read) == 7
    for workers in (0, 2):
        batches = DataLoader(read, batch_sampler=[[6, 0], [3, 1]], num_workers=workers)
        for numbers, batch in zip([[6, 0], [3, 1]], batches, strict=True):
            assert torch.equal(batch["image"], torch.stack([photos[k]["image"] for k in numbers]))


def test_a_broken_writer_leaves_nothing(photos, tmp_path):
    (tmp_path / "photos" / "00005.png").write_bytes(b"")
    with pytest.raises(ValueError, match=r"00005.png cannot be read"):
        write_shards(photos, tmp_path / "out" / "shards")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["shards.lock"]


def test_what_a_killed_writer_left_is_removed(photos, tmp_path):
    (tmp_path / "out" / ".shards.0000.tmp").mkdir(parents=True)
    write_shards(photos, tmp_path / "out" / "shards")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["shards", "shards.lock"]


def test_wrong_shards_are_named_with_the_remedy(photos, shards, tmp_path):
    with pytest.raises(ValueError, match="exists: delete it"):
        write_shards(photos, shards)
    with pytest.raises(ValueError, match="holds photos of 16 pixels, not 32"):
        Shards(shards, size=32)
    with pytest.raises(FileNotFoundError, match=r"no shards at .*nowhere .*src.prepare_data"):
        Shards(tmp_path / "nowhere", size=16)
    sorted(shards.glob("*.bin"))[0].unlink()
    with pytest.raises(ValueError, match=r"lacks chunk-0-0.bin: copy it again"):
        Shards(shards, size=16)


def test_shards_that_call_themselves_pickles_are_refused(shards):
    index = json.loads((shards / "index.json").read_text())
    index["config"]["data_format"] = ["pickle"]
    (shards / "index.json").write_text(json.dumps(index))
    with pytest.raises(ValueError, match=r"\['pickle'\], not photos"):
        Shards(shards, size=16)
