"""From a scene's embeddings to columns of scores.csv, one value an image: KIND/JUDGE, blank where it has no meaning."""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from src.files.rows import Row, Rows
from src.metrics.checks import refuse_faceless
from src.metrics.embeddings import Embeddings
from src.metrics.judge import Judge
from src.metrics.walk import EmbeddedScene

NO_FACE, SEVERAL = ("zero", "excluded"), ("largest", "zero", "excluded")
SAME = 1e-4  # photos nearer than this cannot be told apart
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


def main_columns(embedded: EmbeddedScene, rule: FaceRule) -> Columns:
    """ "text/<judge>": likeness of image and prompt. "identity/<judge>": of image and input photo, under the `rule`.
    "face_found": 1 where every identity judge finds a face; its rate is reported beside every mean.

    ValueError names the photos in which a judge finds no face to compare with.
    """
    images, columns = embedded.images, Columns()
    for text in embedded.judges.get("text", ()):
        seen = embedded.embeddings[text.name]
        columns[f"text/{text.name}"] = text.compare(seen.vectors(images), seen.prompts(embedded.prompts)).tolist()
    face_found = torch.ones(len(images), dtype=torch.bool)
    for judge in embedded.judges.get("identity", ()):
        seen = embedded.embeddings[judge.name]
        photos, faces = seen.vectors(embedded.photos), seen.faces(images)
        blank = zip(embedded.scene.photos, photos.isnan().any(-1).tolist(), strict=True)
        refuse_faceless(judge.name, [str(path) for path, is_blank in blank if is_blank])
        columns[f"identity/{judge.name}"] = rule(judge.compare(seen.vectors(images), photos), faces)
        face_found &= faces > 0
    check_finite(columns, embedded.scene.rows)
    return columns | ({"face_found": face_found.int().tolist()} if embedded.judges.get("identity") else {})


def extra_columns(embedded: EmbeddedScene) -> Columns:
    """What a fair comparison needs besides text and identity.

    "faces/<judge>": how many faces an identity judge finds. "image/<judge>": likeness to the input photo.
    "right/<judge>": 1 where no other prompt of the folder is nearer than the image's own, else 0.
    "copy_paste/<judge>" and "diversity/<judge>": see these functions.
    """
    judges, seen, images, photos = embedded.judges, embedded.embeddings, embedded.images, embedded.photos
    columns: Columns = {}
    for judge in judges.get("identity", ()):
        columns[f"faces/{judge.name}"] = seen[judge.name].faces(images).tolist()
    for judge in judges.get("image", ()):
        vectors = seen[judge.name].vectors
        columns[f"image/{judge.name}"] = judge.compare(vectors(images), vectors(photos)).tolist()
    for judge in judges.get("text", ()):
        columns |= _right(judge, seen[judge.name], images, embedded.prompts)
    for judge in [*judges.get("identity", ()), *judges.get("image", ())]:
        if any(embedded.others):
            columns[f"copy_paste/{judge.name}"] = copy_paste(judge, seen[judge.name], images, photos, embedded.others)
    cells = [(str(row["person"]), str(row["prompt"])) for row in embedded.scene.rows]
    for judge in judges.get("image", ()):
        if len(set(cells)) < len(cells):
            columns[f"diversity/{judge.name}"] = diversity(judge, seen[judge.name].vectors(images), cells)
    check_finite(columns, embedded.scene.rows)
    return columns


def _right(judge: Judge, seen: Embeddings, images: Sequence[str], prompts: Sequence[str]) -> Columns:
    distinct = list(dict.fromkeys(prompts))
    if len(distinct) < 2:
        return {}
    vectors = seen.vectors(images)
    near = torch.stack([judge.compare(vectors, prompt) for prompt in seen.prompts(distinct)])  # [prompts, images]
    asked = near[torch.tensor([distinct.index(prompt) for prompt in prompts]), torch.arange(len(images))]
    return {f"right/{judge.name}": (asked >= near.amax(0)).int().tolist()}


def copy_paste(
    judge: Judge, seen: Embeddings, images: Sequence[str], photos: Sequence[str], others: Sequence[Sequence[str]]
) -> list[float | str]:
    """How far an image is drawn to its input photo rather than to the person.

    (s(image, input) - s(image, others)) / (1 - s(input, others)), s averaged over the person's other photos: 0 for an
    image that is as near to all photos of the person, 1 for a copy of the input. Blank without other photos, without a
    face, or where the photos cannot be told apart.
    """
    values: list[float | str] = []
    for key, photo, rest in zip(images, photos, others, strict=True):
        image, given, *another = seen.vectors([key, photo, *rest])
        near, far, limit = (torch.tensor(torch.nan),) * 3
        if rest:
            near, far = judge.compare(image, given), judge.compare(torch.stack(another), image).nanmean()
            limit = 1 - judge.compare(torch.stack(another), given).nanmean()
        value = float((near - far) / limit)
        values.append(value if limit > SAME and value == value else "")
    return values


def diversity(judge: Judge, vectors: Tensor, cells: Sequence[Any]) -> list[float | str]:
    """1 - the mean likeness of an image [D] to the other seeds of its cell (person, prompt); blank without any."""
    members: dict[Any, list[int]] = defaultdict(list)
    for number, cell in enumerate(cells):
        members[cell].append(number)
    values: list[float | str] = []
    for number, cell in enumerate(cells):
        rest = [other for other in members[cell] if other != number]
        values.append(float(1 - judge.compare(vectors[rest], vectors[number]).mean()) if rest else "")
    return values


def check_finite(columns: Mapping[str, Sequence[Any]], rows: Sequence[Row]) -> None:
    """ValueError names the column and the images of scores that are not finite; a blank is a score that is left out."""
    for name, values in columns.items():
        bad = [row["file"] for row, value in zip(rows, values, strict=True) if value != "" and not math.isfinite(value)]
        if bad:
            raise ValueError(
                f"{name} is not finite for {', '.join(map(str, bad))}: nothing of it is kept; look at this judge's "
                "weights, or leave it out"
            )


def joined(rows: Sequence[Row], columns: Columns) -> Rows:
    """The rows with the columns added."""
    return [{**row, **{name: values[i] for name, values in columns.items()}} for i, row in enumerate(rows)]
