"""A folder of images judged: rows with every judge's columns, anchors, and distances of whole sets."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from src.metrics.distances import set_distances
from src.metrics.embeddings import Embeddings, Judges, look
from src.metrics.extras import anchor_rows, extra_columns
from src.metrics.faces import face_notes
from src.metrics.pictures import Album
from src.metrics.score import Columns, FaceRule, Scene, check_lengths, generic_prompts, main_columns

Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Judged:
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


def judge_scene(
    scene: Scene,
    judges: Judges,
    *,
    generic: str,
    rule: FaceRule,
    kept: Mapping[str, Path],
    real: Sequence[Path] = (),
    album: Album | None = None,
    batch_size: int = 64,
    on_progress: Callable[[str, int, int], None] | None = None,
) -> Judged:
    """Every judge on every image. kept: judge -> folder of its embeddings; real: images that sets are compared with,
    or else all photos. `album`: the files, if they were read before.

    ValueError names all damaged images, photos in which a judge finds no face, and prompts too long for a judge.
    """
    photos = [*scene.photos, *(path for several in scene.others.values() for path in several)]
    prompts = generic_prompts(scene.rows, generic)
    check_lengths(judges.get("text", ()), prompts)
    album = album or Album([*scene.images, *photos, *real])
    how: dict[str, Any] = {"batch_size": batch_size, "on_progress": on_progress}
    seen = look(judges, album, prompts, kept=kept, photos=scene.photos, **how)
    columns = main_columns(scene, album, judges, seen, prompts, rule)
    columns |= extra_columns(scene, album, judges, seen, prompts)
    sets, left_out = _sets(judges, seen, album, scene.images, real or photos)
    anchors = anchor_rows(scene, album, judges, seen, prompts, rule)
    contents = {str(path): key for path, key in album.digest.items()}
    return Judged(columns, anchors, sets, left_out, contents, _on_photos(judges, seen, album, scene.photos))


def _on_photos(judges: Judges, seen: Mapping[str, Embeddings], album: Album, photos: Sequence[Path]) -> list[str]:
    """What identity judges say of the input photos that do not show one face."""
    unique = list(dict.fromkeys(photos))
    notes: list[str] = []
    for judge in judges.get("identity", ()) if unique else ():
        faces = seen[judge.name].faces([album.digest[path] for path in unique]).tolist()
        notes += face_notes(judge.name, dict(zip(map(str, unique), faces, strict=True)))
    return notes


def _sets(
    judges: Judges, seen: Mapping[str, Embeddings], album: Album, images: Sequence[Path], real: Sequence[Path]
) -> tuple[Rows, list[str]]:
    rows: Rows = []
    left_out: dict[str, None] = {}
    keys = [list(dict.fromkeys(album.digest[path] for path in several)) for several in (images, real)]
    for judge in judges.get("image", ()) if all(keys) else ():
        values, why = set_distances(*(seen[judge.name].vectors(several) for several in keys))
        left_out |= dict.fromkeys(f"{judge.name}, {reason}" for reason in why)
        sizes = {"images": len(keys[0]), "real": len(keys[1])}
        rows += [{"measure": name, "features": judge.name, "value": value, **sizes} for name, value in values.items()]
    return rows, list(left_out)
