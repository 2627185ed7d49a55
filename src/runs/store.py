"""The forms of a run's files: JSON, lines of JSON, rows as CSV, PNGs that carry their settings."""

import csv
import io
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from src.files import cells
from src.files.rows import Row
from src.files.whole import AGAIN, content_of, make_folder, naming, write_atomic

SETTINGS_KEY = "profusion"  # the PNG text chunk that holds an image's settings as JSON


def sweep_drafts(folder: Path) -> None:
    """Remove what killed writers left unfinished below `folder`; only for whoever holds its lock."""
    for draft in folder.rglob(".*.tmp"):
        draft.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Write plain data as indented JSON, atomically."""
    write_atomic(path, as_json(value))


def as_json(value: Any) -> bytes:
    """Plain data as the content of an indented JSON file."""
    return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode()


def append_row(path: Path, row: Row) -> None:
    """Append one JSON line and hand it to the system at once. OSError if that fails; the file is as before."""
    line = (json.dumps(row, ensure_ascii=False) + "\n").encode()
    make_folder(path.parent)
    with naming(path.parent), open(path, "ab", buffering=0) as file:
        size = file.seek(0, os.SEEK_END)
        try:
            written = file.write(line)
            if written != len(line):
                raise OSError("the last row did not fit on the disk")
        except OSError:
            file.truncate(size)
            raise


def mend_rows(path: Path) -> None:
    """Cut off a last line without its newline, left by a killed writer."""
    if path.exists():
        with open(path, "rb+") as file:
            file.truncate(file.read().rfind(b"\n") + 1)


def read_jsonl(path: Path) -> list[dict[str, Any]]:
    """All whole rows of a file of JSON lines; [] if there is no file. ValueError for a damaged one."""
    lines = content_of(path).split(b"\n")[:-1] if path.exists() else []
    rows = []
    for number, line in enumerate(lines, 1):
        try:
            rows.append(json.loads(line))
            if not isinstance(rows[-1], dict):
                raise ValueError("it holds no named values")
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{path} is damaged in line {number} ({error}): {AGAIN}") from error
    return rows


def write_csv(path: Path, rows: Sequence[Row]) -> None:
    """Write rows as CSV, atomically; columns in the order of their first appearance, missing values blank."""
    columns = list(dict.fromkeys(column for row in rows for column in row))
    write_atomic(path, cells.to_text(rows, columns).encode())


def read_scores(path: Path) -> list[dict[str, str]]:
    """Rows of a CSV file that `write_csv` wrote, every value as text.

    FileNotFoundError if there is none; ValueError for one that is cut off, empty or ragged: no number is half read.
    """
    content = content_of(path)
    try:
        rows = list(csv.DictReader(io.StringIO(content.decode(), newline=""), strict=True))
    except (ValueError, csv.Error) as error:
        raise ValueError(f"{path} is damaged ({error}): {AGAIN}") from error
    ragged = [str(number) for number, row in enumerate(rows, 1) if None in row or None in row.values()]
    fault = "its end is cut off" if not content.endswith(b"\n") else "it holds no rows" if not rows else ""
    fault = fault or (f"row {ragged[0]} has too many or too few cells" if ragged else "")
    if fault:
        raise ValueError(f"{path} is damaged ({fault}): {AGAIN}")
    return [{cells.unmarked(name): cells.unmarked(value) for name, value in row.items()} for row in rows]


def to_picture(image: Any) -> np.ndarray:
    """[3, H, W] in [-1, 1] (tensor on the CPU or array) -> uint8 [H, W, 3]. ValueError if not finite."""
    values = np.asarray(image, dtype=np.float32)
    if not np.isfinite(values).all():
        raise ValueError("the image holds values that are not finite; nothing is written")
    return np.round((values.transpose(1, 2, 0).clip(-1, 1) + 1) * 127.5).astype(np.uint8)


def save_png(path: Path, image: np.ndarray | Image.Image, settings: Row) -> None:
    """Save an image (uint8 [H, W, 3] or PIL) as PNG, atomically, its settings in the PNG text `profusion`."""
    picture = image if isinstance(image, Image.Image) else Image.fromarray(image)
    info = PngInfo()
    info.add_itxt(SETTINGS_KEY, json.dumps(settings, ensure_ascii=False))
    data = io.BytesIO()
    picture.save(data, format="PNG", pnginfo=info)
    write_atomic(path, data.getvalue())


def save_webp(path: Path, picture: Image.Image) -> None:
    """Save a picture for a page as lossy WebP, atomically: a grid of photos is a third of its PNG."""
    data = io.BytesIO()
    picture.save(data, format="WEBP", quality=80, method=6)
    write_atomic(path, data.getvalue())


def read_settings(path: Path) -> dict[str, Any]:
    """The settings that `save_png` put into a PNG. ValueError if it carries none."""
    with Image.open(path) as picture:
        text = getattr(picture, "text", {}).get(SETTINGS_KEY)
    if text is None:
        raise ValueError(f"{path} carries no settings of ours; was it edited or written by another program?")
    return json.loads(text)
