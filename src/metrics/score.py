"""Score images: every judge on every image, one row each."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from src.files.sheets import read_sheet
from src.metrics.embeddings import Embeddings, Judges, look, said
from src.metrics.faces import refuse_faceless
from src.metrics.identity import Identity
from src.metrics.pictures import Album
from src.metrics.text_similarity import TextSimilarity

COLUMNS = ("file", "person", "prompt", "seed", "family", "photo")
PLACEHOLDER = "S*"
NO_FACE, SEVERAL = ("zero", "excluded"), ("largest", "zero", "excluded")
Columns = dict[str, list[Any]]


@dataclass(frozen=True)
class FaceRule:
    """What an identity score is where the judge finds no face, or several; blank (excluded) or 0, as for strangers.

    ValueError for another word. Whatever the rule, the numbers of faces are reported.
    """

    none: str = "zero"
    several: str = "largest"

    def __post_init__(self) -> None:
        for name, value, known in (("none", self.none, NO_FACE), ("several", self.several, SEVERAL)):
            if value not in known:
                raise ValueError(f"faces.{name} ({value}) must be one of {', '.join(known)}")

    def __call__(self, scores: Tensor, faces: Tensor) -> list[float | str]:
        """Scores [N] under the rule; "" is excluded."""
        rule = {True: self.none, False: self.several}
        return [
            score if count == 1 or rule[count == 0] == "largest" else 0.0 if rule[count == 0] == "zero" else ""
            for score, count in zip(scores.tolist(), faces.tolist(), strict=True)
        ]

    def __str__(self) -> str:
        words = {"zero": "score 0", "excluded": "excluded from the mean", "largest": "the largest is scored"}
        return f"no face: {words[self.none]}; several faces: {words[self.several]}"


@dataclass(frozen=True)
class Scene:
    """What is judged: rows, the image file of each, its input photo, and the person's other photos."""

    rows: Sequence[Mapping[str, Any]]
    images: Sequence[Path]
    photos: Sequence[Path]  # empty if no photo is needed
    others: Mapping[str, Sequence[Path]]  # person -> photos that the method did not see


def score_folder(
    folder: Path,
    *,
    text: Sequence[TextSimilarity],
    identity: Sequence[Identity],
    generic: str = "a person",
    rule: FaceRule | None = None,
    batch_size: int = 64,
    on_progress: Callable[[str, int, int], None] | None = None,
) -> list[dict[str, Any]]:
    """The rows of `folder`/images.csv, each with a score per judge.

    images.csv has at least the columns file, person, prompt, seed, family and photo; `file` and `photo` are relative
    to `folder` (or absolute). Added are "text/<judge>" (cosine of the image and of its prompt with `generic` in the
    place of S*), "identity/<judge>" (likeness of the image and of its photo, under the `rule` for images without a
    face) and "face_found" (1 where every identity judge finds a face); its rate is reported beside every mean.

    Raises:
        FileNotFoundError: there is no images.csv.
        ValueError: a column, an image or a photo is missing, an image is truncated, or a prompt too long for a judge.
    """
    rows = read_rows(folder / "images.csv")
    images, photos = ([folder / row[name] for row in rows] for name in ("file", "photo"))
    scene = Scene(rows, images, photos if identity else [], {})
    judges: Judges = {"text": text, "identity": identity}
    prompts = generic_prompts(rows, generic)
    check_lengths(text, prompts)
    album = Album([*images, *scene.photos])
    how: dict[str, Any] = {"batch_size": batch_size, "on_progress": on_progress}
    seen = look(judges, album, prompts, kept={}, photos=scene.photos, **how)
    return joined(rows, main_columns(scene, album, judges, seen, prompts, rule or FaceRule()))


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of an images.csv, values as strings."""
    return list(read_sheet(path, COLUMNS))


def generic_prompts(rows: Sequence[Mapping[str, Any]], generic: str) -> list[str]:
    """Each row's prompt with the subject named generically."""
    return [row["prompt"].replace(PLACEHOLDER, generic) for row in rows]


def check_lengths(judges: Sequence[Any], prompts: Sequence[str]) -> None:
    """Before anything is scored: ValueError names the prompts of which a text judge would read the beginning alone."""
    asked = list(dict.fromkeys(prompts))
    cut = {judge.name: judge.too_long(asked) for judge in judges if hasattr(judge, "too_long")}
    wrong = {prompt: [name for name, several in cut.items() if prompt in several] for prompt in asked}
    listed = [f'"{prompt}" (for {", ".join(names)})' for prompt, names in wrong.items() if names]
    if listed:
        raise ValueError(
            f"{len(listed)} prompt(s) are too long for a judge, which would not read their ends: {'; '.join(listed)}; "
            "shorten them, or leave these judges out"
        )


def joined(rows: Sequence[Mapping[str, Any]], columns: Columns) -> list[dict[str, Any]]:
    """The rows with the columns added."""
    return [{**row, **{name: values[i] for name, values in columns.items()}} for i, row in enumerate(rows)]


def main_columns(
    scene: Scene,
    album: Album,
    judges: Judges,
    seen: Mapping[str, Embeddings],
    prompts: Sequence[str],
    rule: FaceRule,
) -> Columns:
    """ "text/<judge>", "identity/<judge>" and "face_found", as `score_folder` says.

    ValueError names the photos in which a judge finds no face to compare with.
    """
    keys, photos = [album.digest[path] for path in scene.images], [album.digest[path] for path in scene.photos]
    columns: Columns = {}
    for judge in judges.get("text", ()):
        words = seen[judge.name].vectors([said(prompt) for prompt in prompts])
        columns[f"text/{judge.name}"] = judge.compare(seen[judge.name].vectors(keys), words).tolist()
    found = torch.ones(len(keys), dtype=torch.bool)
    for judge in judges.get("identity", ()):
        own = seen[judge.name]
        _check_photos(judge.name, own, scene.photos, photos)
        faces = own.faces(keys)
        columns[f"identity/{judge.name}"] = rule(judge.compare(own.vectors(keys), own.vectors(photos)), faces)
        found &= faces > 0
    check_finite(columns, scene.rows)
    return columns | ({"face_found": found.int().tolist()} if judges.get("identity") else {})


def check_finite(columns: Columns, rows: Sequence[Mapping[str, Any]]) -> None:
    """ValueError names the column and the images of scores that are not finite; a blank is a score that is left out."""
    for name, values in columns.items():
        bad = [row["file"] for row, value in zip(rows, values, strict=True) if value != "" and not math.isfinite(value)]
        if bad:
            raise ValueError(
                f"{name} is not finite for {', '.join(map(str, bad))}: nothing of it is kept; look at this judge's "
                "weights, or leave it out"
            )


def _check_photos(name: str, seen: Embeddings, paths: Sequence[Path], keys: Sequence[str]) -> None:
    faceless = seen.vectors(keys).isnan().any(-1).tolist()
    refuse_faceless(name, [str(path) for path, bad in zip(paths, faceless, strict=True) if bad])
