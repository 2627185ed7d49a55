"""A folder of images evaluated: scene -> embeddings -> columns, anchors and distances of whole sets."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from src.files.rows import Rows
from src.metrics.checks import face_notes
from src.metrics.columns import Columns, FaceRule, extra_columns, joined, main_columns
from src.metrics.distances import set_distances
from src.metrics.judge import Judge, Judges
from src.metrics.scene import scene_of_run
from src.metrics.walk import EmbeddedScene, embed_scene


@dataclass(frozen=True)
class Evaluation:
    """columns: for the rows of the scene; anchors: floors and ceilings, as rows; sets: distances of whole sets of
    images, one row each; notes: why some of them are left out, and what is to be said of the input photos."""

    columns: Columns
    anchors: dict[str, Rows]
    sets: Rows
    notes: list[str]


def evaluation_of(embedded: EmbeddedScene, rule: FaceRule) -> Evaluation:
    """All that is evaluated of a folder. Whole sets are compared with the real images, or else with all photos.

    ValueError names photos in which a judge finds no face, and columns that are not finite.
    """
    columns = main_columns(embedded, rule) | extra_columns(embedded)
    sets, left_out = _set_rows(embedded)
    return Evaluation(columns, anchor_rows(embedded, rule), sets, [*left_out, *_photo_notes(embedded)])


def scored_rows(folder: Path, judges: Judges, *, generic: str, **how: Any) -> Rows:
    """The rows of a run's images.csv (`scene_of_run`) with a column for each judge of text and identity.

    how: as of `embed_scene`; raises what that and `evaluation_of` raise.
    """
    scene = scene_of_run(folder, need_photos=bool(judges.get("identity")))
    embedded = embed_scene(scene, judges, generic=generic, **how)
    return joined(scene.rows, main_columns(embedded, FaceRule()))


def _photo_notes(embedded: EmbeddedScene) -> list[str]:
    """What identity judges say of the input photos that do not show one face."""
    photos = list(dict.fromkeys(embedded.scene.photos))
    notes: list[str] = []
    for judge in embedded.judges.get("identity", ()) if photos else ():
        faces = embedded.embeddings[judge.name].faces(embedded.keys(photos)).tolist()
        notes += face_notes(judge.name, dict(zip(map(str, photos), faces, strict=True)))
    return notes


def _set_rows(embedded: EmbeddedScene) -> tuple[Rows, list[str]]:
    real = embedded.keys(embedded.real or embedded.scene.every_photo)
    rows: Rows = []
    left_out: dict[str, None] = {}
    sides = [list(dict.fromkeys(keys)) for keys in (embedded.images, real)]
    for judge in embedded.judges.get("image", ()) if all(sides) else ():
        values, why = set_distances(*(embedded.embeddings[judge.name].vectors(keys) for keys in sides))
        left_out |= dict.fromkeys(f"{judge.name}, {reason}" for reason in why)
        sizes = {"images": len(sides[0]), "real": len(sides[1])}
        rows += [{"measure": name, "features": judge.name, "value": value, **sizes} for name, value in values.items()]
    return rows, list(left_out)


def anchor_rows(embedded: EmbeddedScene, rule: FaceRule) -> dict[str, Rows]:
    """Floors and ceilings that any folder with photos has: rows of scores of each.

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
