"""A folder of images evaluated: scene -> embeddings -> columns, anchors and distances of whole sets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from src.files.rows import Rows
from src.metrics.anchors import anchor_rows
from src.metrics.checks import face_notes
from src.metrics.columns import Columns, FaceRule, extra_columns, joined, main_columns
from src.metrics.distances import set_distances
from src.metrics.judge import Judges
from src.metrics.pictures import Album
from src.metrics.scene import Scene, scene_of_run
from src.metrics.walk import EmbeddedScene, OnProgress, embed_scene


@dataclass(frozen=True)
class Evaluation:
    """columns: for the rows of the scene; anchors: floors and ceilings, as rows; sets: distances of whole sets of
    images, one row each, and why some are left out; contents: SHA-256 of every file that was looked at; notes: what is
    to be said of the input photos."""

    columns: Columns
    anchors: dict[str, Rows]
    sets: Rows
    left_out: list[str]
    contents: dict[str, str]
    notes: list[str]

    def roles(self, scene: Scene, real: Sequence[Path]) -> dict[str, Any]:
        """What each file was looked at as, by content: image, input photo, another photo of a person, real image."""

        def of(paths: Sequence[Path]) -> list[str]:
            return [self.contents[str(path)] for path in paths]

        others = {person: of(paths) for person, paths in scene.others.items()}
        return {"images as": of(scene.images), "photos as": of(scene.photos), "others as": others, "real as": of(real)}


def evaluate_scene(
    scene: Scene,
    judges: Judges,
    *,
    generic: str,
    rule: FaceRule,
    kept: Mapping[str, Path],
    real: Sequence[Path] = (),
    album: Album | None = None,
    batch_size: int = 64,
    on_progress: OnProgress | None = None,
) -> Evaluation:
    """Every judge on every image. kept: judge -> folder of its embeddings; real: images that sets are compared with,
    or else all photos. `album`: the files, if they were read before.

    ValueError names all damaged images, photos in which a judge finds no face, and prompts too long for a judge.
    """
    album = album or Album([*scene.images, *scene.every_photo, *real])
    embedded = embed_scene(
        scene, judges, generic=generic, kept=kept, album=album, batch_size=batch_size, on_progress=on_progress
    )
    columns = main_columns(embedded, rule) | extra_columns(embedded)
    sets, left_out = _set_rows(embedded, real or scene.every_photo)
    contents = {str(path): key for path, key in album.digest.items()}
    return Evaluation(columns, anchor_rows(embedded, rule), sets, left_out, contents, _photo_notes(embedded))


def scored_rows(
    folder: Path, judges: Judges, *, generic: str, batch_size: int = 64, on_progress: OnProgress | None = None
) -> Rows:
    """The rows of a run's images.csv (`scene_of_run`) with a column for each judge of text and identity; raises what
    `evaluate_scene` raises."""
    scene = scene_of_run(folder, need_photos=bool(judges.get("identity")))
    embedded = embed_scene(scene, judges, generic=generic, batch_size=batch_size, on_progress=on_progress)
    return joined(scene.rows, main_columns(embedded, FaceRule()))


def _photo_notes(embedded: EmbeddedScene) -> list[str]:
    """What identity judges say of the input photos that do not show one face."""
    photos = list(dict.fromkeys(embedded.scene.photos))
    notes: list[str] = []
    for judge in embedded.judges.get("identity", ()) if photos else ():
        faces = embedded.embeddings[judge.name].faces(embedded.keys(photos)).tolist()
        notes += face_notes(judge.name, dict(zip(map(str, photos), faces, strict=True)))
    return notes


def _set_rows(embedded: EmbeddedScene, real: Sequence[Path]) -> tuple[Rows, list[str]]:
    rows: Rows = []
    left_out: dict[str, None] = {}
    sides = [list(dict.fromkeys(keys)) for keys in (embedded.images, embedded.keys(real))]
    for judge in embedded.judges.get("image", ()) if all(sides) else ():
        values, why = set_distances(*(embedded.embeddings[judge.name].vectors(keys) for keys in sides))
        left_out |= dict.fromkeys(f"{judge.name}, {reason}" for reason in why)
        sizes = {"images": len(sides[0]), "real": len(sides[1])}
        rows += [{"measure": name, "features": judge.name, "value": value, **sizes} for name, value in values.items()]
    return rows, list(left_out)
