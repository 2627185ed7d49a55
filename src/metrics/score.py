"""Score a folder of images: every judge on every image, one row each."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from src.metrics.identity import Identity
from src.metrics.text_similarity import TextSimilarity

COLUMNS = ("file", "person", "prompt", "seed", "family", "photo")
PLACEHOLDER = "S*"


def score_folder(
    folder: Path,
    *,
    text: Sequence[TextSimilarity],
    identity: Sequence[Identity],
    generic: str = "a person",
    batch_size: int = 64,
    on_progress: Callable[[int, int], None] | None = None,
) -> list[dict[str, Any]]:
    """The rows of `folder`/images.csv, each with a score per judge.

    images.csv has at least the columns file, person, prompt, seed, family and photo; `file` and `photo` are relative
    to `folder` (or absolute), all images of one size. Added are "text/<judge>" (cosine of the image and of its prompt
    with `generic` in the place of S*), "identity/<judge>" (cosine of the image and of its photo) and "face_found".
    Rule for images without a face, as every presence net at hand must find it: face_found is 0 and every identity
    score is 0, as between strangers. They stay in every mean, and the rate of face_found is reported beside it.
    `on_progress` is told how many images are done, and of how many.

    Raises:
        FileNotFoundError: there is no images.csv.
        ValueError: a column, an image or a photo is missing, or an image is truncated or of another size.
    """
    rows = read_rows(folder / "images.csv")
    photos = _embedded_photos(folder, rows, identity)
    scored: list[dict[str, Any]] = []
    for start in range(0, len(rows), batch_size):
        batch = rows[start : start + batch_size]
        images = _stack([folder / row["file"] for row in batch])
        prompts = [row["prompt"].replace(PLACEHOLDER, generic) for row in batch]
        columns = {f"text/{judge.name}": judge(images, prompts).tolist() for judge in text}
        columns |= _identity_columns(images, [row["photo"] for row in batch], identity, photos)
        scored += [row | {name: values[i] for name, values in columns.items()} for i, row in enumerate(batch)]
        if on_progress:
            on_progress(len(scored), len(rows))
    return scored


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of an images.csv, values as strings."""
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        missing = [column for column in COLUMNS if column not in (reader.fieldnames or ())]
        if missing:
            raise ValueError(f"{path} lacks the column(s) {', '.join(missing)}: it needs {', '.join(COLUMNS)}")
        return list(reader)


def read_image(path: Path) -> Tensor:
    """A picture file -> [3, H, W] in [-1, 1].

    Raises:
        ValueError: the file is missing, truncated or no image.
    """
    try:
        with Image.open(path) as image:
            pixels = np.array(image.convert("RGB"))
    except (OSError, SyntaxError) as error:  # PIL raises SyntaxError on some damaged files
        raise ValueError(f"{path} cannot be read as an image ({error}): generate it again or remove its row") from error
    return torch.from_numpy(pixels).permute(2, 0, 1).float() / 127.5 - 1


def _stack(paths: Sequence[Path]) -> Tensor:
    images = [read_image(path) for path in paths]
    for path, image in zip(paths, images, strict=True):
        if image.shape != images[0].shape:
            sizes = [f"{i.shape[2]} x {i.shape[1]}" for i in (image, images[0])]
            raise ValueError(f"{path} is {sizes[0]} but {paths[0]} is {sizes[1]}: score images of one size at a time")
    return torch.stack(images)


def _embedded_photos(
    folder: Path, rows: Sequence[dict[str, Any]], identity: Sequence[Identity]
) -> dict[str, dict[str, Tensor]]:
    """Every distinct photo once -> judge -> unit vector [D]."""
    known = {}
    for name in dict.fromkeys(row["photo"] for row in rows):
        photo = read_image(folder / name)[None]
        known[name] = {judge.name: judge.embed(photo)[0] for judge in identity}
    return known


def _identity_columns(
    images: Tensor, photos: Sequence[str], identity: Sequence[Identity], known: dict[str, dict[str, Tensor]]
) -> dict[str, list[Any]]:
    found = torch.ones(len(images), dtype=torch.bool)
    for judge in identity:
        found &= judge.present(images)
    columns: dict[str, list[Any]] = {}
    for judge in identity:
        wanted = torch.stack([known[photo][judge.name] for photo in photos])
        cosine = (judge.embed(images) * wanted).sum(-1)
        columns[f"identity/{judge.name}"] = torch.where(found, cosine, torch.zeros(())).tolist()
    return columns | ({"face_found": found.int().tolist()} if identity else {})
