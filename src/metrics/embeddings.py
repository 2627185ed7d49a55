"""What a judge saw, by the content of the picture: kept in files, so that nothing is looked at twice by one judge."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save
from torch import Tensor

from src.files.whole import sha256_of, write_atomic
from src.metrics.faces import refuse_faceless
from src.metrics.pictures import Album

Judges = Mapping[str, Sequence[Any]]  # kind ("text", "identity", "image") -> judges
SHARD = 1024  # pictures that an interrupted judging may lose


class Embeddings:
    """One judge's embeddings: SHA-256 of a picture's file, or of a prompt -> vector and number of faces.

    `folder` holds them as files that are whole or not there, each written once and called by its own SHA-256; None
    keeps nothing. ValueError for a file that is not what its name says.
    """

    def __init__(self, folder: Path | None = None):
        self.folder = folder
        self._known: dict[str, tuple[Tensor, int]] = {}
        for path in sorted(folder.glob("*.safetensors")) if folder else ():
            if sha256_of(path) != path.stem:
                raise ValueError(f"{path} is damaged or foreign (its SHA-256 is not its name): delete it to look again")
            self._take(load_file(path))

    def missing(self, keys: Sequence[str]) -> list[str]:
        """Those of the keys that are not known, each once."""
        return [key for key in dict.fromkeys(keys) if key not in self._known]

    def add(self, keys: Sequence[str], vectors: Tensor, faces: Tensor) -> None:
        """Take in vectors [N, D] (nan where there is none) and numbers of faces [N]; written at once."""
        digests = torch.frombuffer(bytearray(bytes.fromhex("".join(keys))), dtype=torch.uint8).view(-1, 32)
        shard = {"keys": digests, "vectors": vectors.float().contiguous(), "faces": faces.int().contiguous()}
        if self.folder:
            content = save(shard)
            write_atomic(self.folder / f"{hashlib.sha256(content).hexdigest()}.safetensors", content)
        self._take(shard)

    def vectors(self, keys: Sequence[str]) -> Tensor:
        """[N, D]; nan where the judge found no face to look at."""
        width = max(len(self._known[key][0]) for key in keys)
        return torch.stack([self._filled(key, width) for key in keys])

    def faces(self, keys: Sequence[str]) -> Tensor:
        """The number of faces [N] in each picture, as this judge's detector finds them."""
        return torch.tensor([self._known[key][1] for key in keys])

    def _filled(self, key: str, width: int) -> Tensor:
        vector = self._known[key][0]
        return vector if len(vector) == width else torch.full((width,), torch.nan)

    def _take(self, shard: Mapping[str, Tensor]) -> None:
        keys = [bytes(key.tolist()).hex() for key in shard["keys"]]
        self._known |= dict(zip(keys, zip(shard["vectors"], shard["faces"].tolist(), strict=True), strict=True))


def said(prompt: str) -> str:
    """The key of a prompt."""
    return hashlib.sha256(f"prompt {prompt}".encode()).hexdigest()


def look(
    judges: Judges,
    album: Album,
    prompts: Sequence[str],
    *,
    kept: Mapping[str, Path],
    photos: Sequence[Path] = (),
    batch_size: int = 64,
    on_progress: Callable[[str, int, int], None] | None = None,
) -> dict[str, Embeddings]:
    """Every judge's embeddings of all pictures (and, for judges of text, prompts): judge -> embeddings.

    One judge's nets are in memory at a time, each picture is decoded once for all judges, and a judge looks only at
    what is not `kept` in its folder (a judge without one keeps nothing). on_progress(judge, pictures done, of all).
    photos: the reference photos among the pictures; identity judges look at them first, before anything else is looked
    at. ValueError names those without a face, and pictures for which a judge gives no finite numbers.
    """
    kinds = sorted(judges, key=lambda kind: kind != "identity")
    every = [(judge, prompts if kind == "text" else ()) for kind in kinds for judge in judges[kind]]
    needed = {judge.name: {album.digest[path]: path for path in photos} for judge in judges.get("identity", ())}
    shared = {folder: Embeddings(folder) for folder in set(kept.values())}  # two names of one judge look once
    seen = {judge.name: shared[kept[judge.name]] if judge.name in kept else Embeddings() for judge, _ in every}
    for part in album.parts():
        keys, pictures = [album.digest[path] for path in part], None
        for judge, words in every:
            new, unheard = set(seen[judge.name].missing(keys)), _unheard(seen[judge.name], words)
            if new:
                pictures = album.decode(part) if pictures is None else pictures
                todo = [(path, key, p) for path, key, p in zip(part, keys, pictures, strict=True) if key in new]
                own = needed.get(judge.name, {})
                todo.sort(key=lambda one: one[1] not in own)
                _look_at(judge, todo, seen[judge.name], batch_size, on_progress, own)
            if unheard:
                heard, faces = judge.say(unheard), torch.zeros(len(unheard), dtype=torch.int)
                _check_finite(judge, heard, torch.ones(len(unheard)), [f'"{prompt}"' for prompt in unheard])
                seen[judge.name].add([said(prompt) for prompt in unheard], heard, faces)
            if new or unheard:
                judge.release()
    return seen


def _unheard(seen: Embeddings, prompts: Sequence[str]) -> list[str]:
    return [prompt for prompt in dict.fromkeys(prompts) if seen.missing([said(prompt)])]


def _look_at(
    judge: Any,
    todo: Sequence[tuple[Path, str, Tensor]],
    seen: Embeddings,
    batch_size: int,
    on_progress: Callable[[str, int, int], None] | None,
    photos: Mapping[str, Path],
) -> None:
    """photos: the reference photos of `todo`, which stand first in it."""
    first_images = sum(key in photos for _, key, _ in todo)
    faceless: list[str] = []
    for first in range(0, len(todo), SHARD):
        shard = todo[first : first + SHARD]
        found = []
        for start in range(0, len(shard), batch_size):
            batch = shard[start : start + batch_size]
            vectors, faces = judge.see([picture for _, _, picture in batch])
            _check_finite(judge, vectors, faces, [str(path) for path, _, _ in batch])
            found.append((vectors, faces))
            blank = vectors.isnan().any(-1).tolist()
            faceless += [
                str(photos[key]) for (_, key, _), bad in zip(batch, blank, strict=True) if bad and key in photos
            ]
            if first + start + len(batch) >= first_images:
                refuse_faceless(judge.name, faceless)
            if on_progress:
                on_progress(judge.name, min(first + start + batch_size, len(todo)), len(todo))
        width = max(vectors.shape[1] for vectors, _ in found)
        vectors = torch.cat([v if v.shape[1] == width else v[:, :1].expand(-1, width) for v, _ in found])
        seen.add([key for _, key, _ in shard], vectors, torch.cat([faces for _, faces in found]))


def _check_finite(judge: Any, vectors: Tensor, faces: Tensor, names: Sequence[str]) -> None:
    """ValueError names what a judge gives no finite numbers for, though it says that it sees something there."""
    bad = (~vectors.isfinite().all(-1)) & (torch.as_tensor(faces) > 0)
    if bad.any():
        listed = ", ".join(name for name, wrong in zip(names, bad.tolist(), strict=True) if wrong)
        raise ValueError(
            f"judge {judge.name} gives numbers that are not finite for {listed}: nothing of it is kept; look at its "
            "weights, or leave it out"
        )
