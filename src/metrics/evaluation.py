"""A folder of images evaluated: scene -> embeddings -> columns, anchors and distances of whole sets."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from src.files.rows import Rows
from src.metrics.anchors import anchor_rows
from src.metrics.checks import face_notes
from src.metrics.columns import Columns, FaceRule, extra_columns, joined, main_columns
from src.metrics.distances import set_distances
from src.metrics.judge import Judges
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
