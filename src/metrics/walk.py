"""The one walk over pictures and prompts: every judge looks at what it has not seen, one judge's nets at a time."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from src.metrics.checks import check_lengths, refuse_faceless
from src.metrics.embeddings import Embeddings, prompt_key
from src.metrics.judge import Judge, Judges, TextJudge, each
from src.metrics.pictures import Album
from src.metrics.scene import PLACEHOLDER, Scene

OnProgress = Callable[[str, int, int], None]  # (judge, pictures done, of all)
SHARD = 1024  # pictures that an interrupted walk may lose


@dataclass(frozen=True)
class EmbeddedScene:
    """A scene as its judges saw it. prompts: as text judges read them; embeddings: of each judge, by its name."""

    scene: Scene
    prompts: Sequence[str]
    judges: Judges
    album: Album
    embeddings: Mapping[str, Embeddings]
    real: Sequence[Path] = ()  # images that the whole set is compared with

    def keys(self, paths: Sequence[Path]) -> list[str]:
        """Under which embeddings know the files."""
        return [self.album.digest[path] for path in paths]

    @cached_property
    def images(self) -> list[str]:
        """The key of each row's image."""
        return self.keys(self.scene.images)

    @cached_property
    def photos(self) -> list[str]:
        """The key of each row's input photo; [] if none is needed."""
        return self.keys(self.scene.photos)

    @cached_property
    def others(self) -> list[list[str]]:
        """For each row the keys of the person's photos that the method did not see."""
        return [self.keys(self.scene.others.get(str(row["person"]), ())) for row in self.scene.rows]

    def contents(self) -> dict[str, Any]:
        """What was looked at, by SHA-256, and as what: image, input photo, another photo of a person, real image."""
        others = {person: self.keys(paths) for person, paths in self.scene.others.items()}
        whole = {"looked at": {str(path): key for path, key in self.album.digest.items()}, "others as": others}
        return whole | {"images as": self.images, "photos as": self.photos, "real as": self.keys(self.real)}


def embed_scene(
    scene: Scene,
    judges: Judges,
    *,
    generic: str,
    kept: Mapping[str, Path] | None = None,
    real: Sequence[Path] = (),
    album: Album | None = None,
    batch_size: int = 64,
    on_progress: OnProgress | None = None,
) -> EmbeddedScene:
    """Every judge's embeddings of a scene, S* being called `generic`, and of `real` images.

    kept: judge -> folder of its embeddings. album: the files, if they were read before.

    ValueError names prompts too long for a judge, damaged images, and what else `walk` refuses.
    """
    prompts = [row["prompt"].replace(PLACEHOLDER, generic) for row in scene.rows]
    check_lengths(judges.get("text", ()), prompts)
    album = album or Album([*scene.images, *scene.every_photo, *real])
    how: dict[str, Any] = {"kept": kept or {}, "batch_size": batch_size, "on_progress": on_progress}
    seen = walk(judges, album, prompts, photos=scene.photos, **how)
    return EmbeddedScene(scene, prompts, judges, album, seen, real)


def walk(
    judges: Judges,
    album: Album,
    prompts: Sequence[str],
    *,
    kept: Mapping[str, Path],
    photos: Sequence[Path] = (),
    batch_size: int = 64,
    on_progress: OnProgress | None = None,
) -> dict[str, Embeddings]:
    """Every judge's embeddings of all pictures (and, for judges of text, prompts): judge -> embeddings.

    One judge's nets are in memory at a time, each picture is decoded once for all judges, and a judge looks only at
    what is not `kept` in its folder (a judge without one keeps nothing). photos: the reference photos among the
    pictures; identity judges look at them first, before anything else is looked at.
    ValueError names those without a face, and pictures for which a judge gives no finite numbers.
    """
    shared = {folder: Embeddings(folder) for folder in set(kept.values())}  # two names of one judge look once
    seen = {j.name: shared[kept[j.name]] if j.name in kept else Embeddings() for j in each(judges)}
    readers = {judge.name: judge for judge in judges.get("text", ())}
    references = {album.digest[path]: path for path in photos}
    compared = {judge.name: references for judge in judges.get("identity", ())}
    for part in album.parts():
        pictures: list[Tensor] | None = None
        for judge in each(judges):
            known = seen[judge.name]
            new = set(known.missing([album.digest[path] for path in part]))
            asked = dict.fromkeys(prompts) if judge.name in readers else ()
            unread = [prompt for prompt in asked if known.missing([prompt_key(prompt)])]
            if new:
                pictures = album.decode(part) if pictures is None else pictures
                whole = [(path, album.digest[path], p) for path, p in zip(part, pictures, strict=True)]
                todo = [picture for picture in whole if picture[1] in new]
                _look(judge, todo, known, compared.get(judge.name, {}), batch_size, on_progress)
            if unread:
                _read(readers[judge.name], unread, known)
            if new or unread:
                judge.release()
    return seen


def _look(
    judge: Judge,
    pictures: Sequence[tuple[Path, str, Tensor]],
    known: Embeddings,
    photos: Mapping[str, Path],
    batch_size: int,
    on_progress: OnProgress | None,
) -> None:
    """One judge's look at pictures (path, key, pixels). photos: the reference photos by their keys, looked at first."""
    pictures = sorted(pictures, key=lambda picture: picture[1] not in photos)
    references, faceless = sum(key in photos for _, key, _ in pictures), list[str]()
    for first in range(0, len(pictures), SHARD):
        shard, seen = pictures[first : first + SHARD], []
        for start in range(0, len(shard), batch_size):
            batch = shard[start : start + batch_size]
            vectors, faces = judge.see([pixels for _, _, pixels in batch])
            _check_finite(judge, vectors, faces, [str(path) for path, _, _ in batch])
            seen.append((vectors, faces))
            blank = [key for (_, key, _), bad in zip(batch, vectors.isnan().any(-1).tolist(), strict=True) if bad]
            faceless += [str(photos[key]) for key in blank if key in photos]
            done = first + start + len(batch)
            if done >= references:
                refuse_faceless(judge.name, faceless)
            if on_progress:
                on_progress(judge.name, done, len(pictures))
        width = max(vectors.shape[1] for vectors, _ in seen)
        vectors = torch.cat([v if v.shape[1] == width else v[:, :1].expand(-1, width) for v, _ in seen])
        known.add([key for _, key, _ in shard], vectors, torch.cat([faces for _, faces in seen]))


def _read(judge: TextJudge, prompts: Sequence[str], known: Embeddings) -> None:
    vectors = judge.say(prompts)
    _check_finite(judge, vectors, torch.ones(len(prompts)), [f'"{prompt}"' for prompt in prompts])
    known.add([prompt_key(prompt) for prompt in prompts], vectors, torch.zeros(len(prompts), dtype=torch.int))


def _check_finite(judge: Judge, vectors: Tensor, faces: Tensor, names: Sequence[str]) -> None:
    """ValueError names what a judge gives no finite numbers for, though it says that it sees something there."""
    bad = (~vectors.isfinite().all(-1)) & (torch.as_tensor(faces) > 0)
    if bad.any():
        listed = ", ".join(name for name, wrong in zip(names, bad.tolist(), strict=True) if wrong)
        raise ValueError(
            f"judge {judge.name} gives numbers that are not finite for {listed}: nothing of it is kept; look at its "
            "weights, or leave it out"
        )
