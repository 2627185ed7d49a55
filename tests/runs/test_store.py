"""Files are whole or not there, whatever goes wrong while they are written."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from src.files.sheets import read_sheet
from src.runs import store

ROOT = Path(__file__).parents[2]


def full_disk(descriptor: int) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_write_atomic_replaces_the_whole_file(tmp_path):
    store.write_atomic(tmp_path / "new" / "a.bin", b"first, and longer")
    store.write_atomic(tmp_path / "new" / "a.bin", b"second")
    assert (tmp_path / "new" / "a.bin").read_bytes() == b"second"
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.bin"]


def test_full_disk_leaves_the_old_file_and_names_folder_and_remedy(tmp_path, monkeypatch):
    store.write_atomic(tmp_path / "a.bin", b"old")
    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OSError, match="No space left") as caught:
        store.write_atomic(tmp_path / "a.bin", b"new")
    assert str(tmp_path) in str(caught.value)
    assert "another output folder" in str(caught.value)
    assert (tmp_path / "a.bin").read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["a.bin"]


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "taken").write_text("a file where a folder is wanted")
    with pytest.raises(OSError, match="taken"):
        store.make_folder(tmp_path / "taken" / "run")


def test_file_size_limit_leaves_whole_rows_only(tmp_path):
    """The limit stands for a full disk: the system takes a part of a row, then nothing."""
    code = f"""
import resource, sys
from pathlib import Path
from src.files.sheets import read_sheet
from src.runs import store
resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
path = Path({str(tmp_path)!r}) / "metrics.jsonl"
try:
    for step in range(100):
        store.append_row(path, {{"step": step, "loss": 0.5}})
except OSError as error:
    sys.exit(str(error))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1
    assert str(tmp_path) in done.stderr
    assert (tmp_path / "metrics.jsonl").read_bytes().endswith(b"}\n")
    assert [row["step"] for row in store.read_jsonl(tmp_path / "metrics.jsonl")] == [0, 1, 2, 3]


def test_a_torn_last_row_is_mended(tmp_path):
    path = tmp_path / "metrics.jsonl"
    store.append_row(path, {"step": 0, "prompt": "a line\nand \u2028 another"})
    with open(path, "a") as file:
        file.write('{"step": 1, "lo')
    assert [row["step"] for row in store.read_jsonl(path)] == [0]
    store.mend_rows(path)
    store.append_row(path, {"step": 1})
    assert [row["step"] for row in store.read_jsonl(path)] == [0, 1]
    assert store.read_jsonl(path)[0]["prompt"] == "a line\nand \u2028 another"


def test_csv_round_trip_with_missing_values_and_commas(tmp_path):
    rows = [{"prompt": 'a "photo", of S*', "seed": 1}, {"prompt": "b", "text/a": 0.25}]
    store.write_csv(tmp_path / "scores.csv", rows)
    assert read_sheet(tmp_path / "scores.csv") == [
        {"prompt": 'a "photo", of S*', "seed": "1", "text/a": ""},
        {"prompt": "b", "seed": "", "text/a": "0.25"},
    ]


def test_png_carries_pixels_and_settings(tmp_path):
    image = np.arange(8 * 8 * 3, dtype=np.uint8).reshape(8, 8, 3)
    settings = {"prompt": "a photo of S* – größer", "sampler": {"gamma": 0.6}}
    store.save_png(tmp_path / "a.png", image, settings)
    assert store.read_settings(tmp_path / "a.png") == settings
    with Image.open(tmp_path / "a.png") as picture:
        assert np.array_equal(np.asarray(picture), image)


def test_a_foreign_png_has_no_settings(tmp_path):
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    with pytest.raises(ValueError, match="no settings"):
        store.read_settings(tmp_path / "a.png")


def test_to_picture_maps_the_range_and_inverts():
    levels = np.arange(256, dtype=np.uint8)
    image = np.broadcast_to(levels / 127.5 - 1, (3, 2, 256))
    assert np.array_equal(store.to_picture(image)[0, :, 0], levels)
    assert store.to_picture(np.full((3, 1, 1), 7.0)).max() == 255
    with pytest.raises(ValueError, match="not finite"):
        store.to_picture(np.full((3, 1, 1), np.nan))
