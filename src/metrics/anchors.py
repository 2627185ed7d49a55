"""Floors and ceilings that any folder with photos has."""

from collections.abc import Sequence
from typing import Any

import torch

from src.files.rows import Rows
from src.metrics.columns import FaceRule
from src.metrics.judge import Judge
from src.metrics.walk import EmbeddedScene


def anchor_rows(embedded: EmbeddedScene, rule: FaceRule) -> dict[str, Rows]:
    """Rows of scores of each anchor.

    "copy": the input photo in the place of the image (floor of text). "other": the image against the photos of all
    other people (floor of identity). "same": the input photo against the person's other photos (ceiling of identity).
    """
    rows, photos = embedded.scene.rows, embedded.photos
    if not photos:
        return {}
    numbers = {"copy": list(range(len(rows)))}
    if len({str(row["person"]) for row in rows}) > 1:
        numbers["other"] = numbers["copy"]
    numbers["same"] = [number for number, others in enumerate(embedded.others) if others]
    anchors = {name: [dict(rows[number]) for number in several] for name, several in numbers.items() if several}
    for text in embedded.judges.get("text", ()):
        seen = embedded.embeddings[text.name]
        scores = text.compare(seen.vectors(photos), seen.prompts(embedded.prompts)).tolist()
        _fill(anchors["copy"], f"text/{text.name}", scores)
    for judge in embedded.judges.get("identity", ()):
        vectors, name = embedded.embeddings[judge.name].vectors(photos), f"identity/{judge.name}"
        _fill(anchors["copy"], name, judge.compare(vectors, vectors).tolist())
        if "other" in anchors:
            _fill(anchors["other"], name, _strangers(judge, embedded, rule))
        if "same" in anchors:
            _fill(anchors["same"], name, [_likeness(judge, embedded, number) for number in numbers["same"]])
    return anchors


def _fill(rows: Rows, name: str, values: Sequence[Any]) -> None:
    for row, value in zip(rows, values, strict=True):
        row[name] = "" if value != value else value  # nan: no face to compare with


def _likeness(judge: Judge, embedded: EmbeddedScene, number: int) -> float:
    """The likeness of a row's input photo to the person's other photos."""
    keys = [embedded.photos[number], *embedded.others[number]]
    given, *rest = embedded.embeddings[judge.name].vectors(keys)
    return float(judge.compare(torch.stack(rest), given).nanmean())


def _strangers(judge: Judge, embedded: EmbeddedScene, rule: FaceRule) -> list[float | str]:
    """Each image's mean likeness to the input photos of all other people."""
    seen, images = embedded.embeddings[judge.name], embedded.images
    people = [str(row["person"]) for row in embedded.scene.rows]
    photo = dict(zip(people, embedded.photos, strict=True))
    vectors = seen.vectors(images)
    likeness = torch.stack([judge.compare(vectors, each) for each in seen.vectors(list(photo.values()))], 1)
    themselves = likeness[torch.arange(len(images)), torch.tensor([list(photo).index(person) for person in people])]
    return rule((likeness.sum(1) - themselves) / (len(photo) - 1), seen.faces(images))
