"""What a fair comparison needs besides text and identity: copy-paste, diversity, the right prompt, anchors."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from src.metrics.embeddings import Embeddings, Judges, said
from src.metrics.pictures import Album
from src.metrics.score import Columns, FaceRule, Scene, check_finite

Seen = Mapping[str, Embeddings]
Rows = list[dict[str, Any]]
SAME = 1e-4  # photos nearer than this cannot be told apart


def extra_columns(scene: Scene, album: Album, judges: Judges, seen: Seen, prompts: Sequence[str]) -> Columns:
    """Columns beside text and identity; blank where they have no meaning.

    "faces/<judge>": how many faces an identity judge finds. "image/<judge>": likeness to the input photo.
    "right/<judge>": 1 where the image's own prompt is nearer than every other prompt of the folder, else 0.
    "copy_paste/<judge>" and "diversity/<judge>": see these functions.
    """
    keys = [album.digest[path] for path in scene.images]
    photos = [album.digest[path] for path in scene.photos]
    others = [[album.digest[p] for p in scene.others.get(str(row["person"]), ())] for row in scene.rows]
    columns: Columns = {}
    for judge in judges.get("identity", ()):
        columns[f"faces/{judge.name}"] = seen[judge.name].faces(keys).tolist()
    for judge in judges.get("image", ()):
        columns[f"image/{judge.name}"] = _both(judge, seen, keys, photos).tolist()
    for judge in judges.get("text", ()):
        columns |= _right(judge, seen[judge.name], keys, prompts)
    for judge in [*judges.get("identity", ()), *judges.get("image", ())]:
        if any(others):
            columns[f"copy_paste/{judge.name}"] = copy_paste(judge, seen[judge.name], keys, photos, others)
    cells = [(str(row["person"]), str(row["prompt"])) for row in scene.rows]
    for judge in judges.get("image", ()):
        if len(set(cells)) < len(cells):
            columns[f"diversity/{judge.name}"] = diversity(judge, seen[judge.name].vectors(keys), cells)
    check_finite(columns, scene.rows)
    return columns


def _both(judge: Any, seen: Seen, left: Sequence[str], right: Sequence[str]) -> Tensor:
    return judge.compare(seen[judge.name].vectors(left), seen[judge.name].vectors(right))


def _right(judge: Any, seen: Embeddings, keys: Sequence[str], prompts: Sequence[str]) -> Columns:
    distinct = list(dict.fromkeys(prompts))
    if len(distinct) < 2:
        return {}
    words, images = seen.vectors([said(prompt) for prompt in distinct]), seen.vectors(keys)
    nearest = torch.stack([judge.compare(images, word) for word in words]).argmax(0).tolist()
    own = [distinct.index(prompt) for prompt in prompts]
    return {f"right/{judge.name}": [int(i == j) for i, j in zip(nearest, own, strict=True)]}


def copy_paste(
    judge: Any, seen: Embeddings, keys: Sequence[str], photos: Sequence[str], others: Sequence[Sequence[str]]
) -> list[float | str]:
    """How far an image is drawn to its input photo rather than to the person.

    (s(image, input) - s(image, others)) / (1 - s(input, others)), s averaged over the person's other photos: 0 for an
    image that is as near to all photos of the person, 1 for a copy of the input. Blank without other photos, without a
    face, or where the photos cannot be told apart.
    """
    values: list[float | str] = []
    for key, photo, rest in zip(keys, photos, others, strict=True):
        image, given, *another = seen.vectors([key, photo, *rest])
        near, far, limit = (torch.tensor(torch.nan),) * 3
        if rest:
            near, far = judge.compare(image, given), judge.compare(torch.stack(another), image).nanmean()
            limit = 1 - judge.compare(torch.stack(another), given).nanmean()
        value = float((near - far) / limit)
        values.append(value if limit > SAME and value == value else "")
    return values


def diversity(judge: Any, vectors: Tensor, cells: Sequence[Any]) -> list[float | str]:
    """1 - the mean likeness of an image [D] to the other seeds of its cell (person, prompt); blank without any."""
    members: dict[Any, list[int]] = defaultdict(list)
    for number, cell in enumerate(cells):
        members[cell].append(number)
    values: list[float | str] = []
    for number, cell in enumerate(cells):
        rest = [other for other in members[cell] if other != number]
        values.append(float(1 - judge.compare(vectors[rest], vectors[number]).mean()) if rest else "")
    return values


def anchor_rows(
    scene: Scene, album: Album, judges: Judges, seen: Seen, prompts: Sequence[str], rule: FaceRule
) -> dict[str, Rows]:
    """Floors and ceilings that any folder with photos has, as rows of scores.

    "copy": the input photo in the place of the image (floor of text). "other": the image against the photos of all
    other people (floor of identity). "same": the input photo against the person's other photos (ceiling of identity).
    """
    if not scene.photos:
        return {}
    rows = {"copy": list(range(len(scene.rows)))}
    if len({str(row["person"]) for row in scene.rows}) > 1:
        rows["other"] = rows["copy"]
    rows["same"] = [i for i, row in enumerate(scene.rows) if scene.others.get(str(row["person"]))]
    found = {name: [dict(scene.rows[i]) for i in numbers] for name, numbers in rows.items() if numbers}
    photos = [album.digest[path] for path in scene.photos]
    for judge in judges.get("text", ()):
        vectors = seen[judge.name].vectors
        words = vectors([said(prompt) for prompt in prompts])
        _fill(found["copy"], f"text/{judge.name}", judge.compare(vectors(photos), words).tolist())
    for judge in judges.get("identity", ()):
        own, name = seen[judge.name], f"identity/{judge.name}"
        _fill(found["copy"], name, judge.compare(own.vectors(photos), own.vectors(photos)).tolist())
        if "other" in found:
            _fill(found["other"], name, _strangers(judge, own, scene, album, rule))
        if "same" in found:
            _fill(found["same"], name, [_likeness(judge, own, scene, album, i) for i in rows["same"]])
    return found


def _fill(rows: Rows, name: str, values: Sequence[Any]) -> None:
    for row, value in zip(rows, values, strict=True):
        row[name] = "" if value != value else value  # nan: no face to compare with


def _likeness(judge: Any, seen: Embeddings, scene: Scene, album: Album, row: int) -> float:
    """The likeness of a row's input photo to the person's other photos."""
    others = scene.others[str(scene.rows[row]["person"])]
    given, *rest = seen.vectors([album.digest[path] for path in (scene.photos[row], *others)])
    return float(judge.compare(torch.stack(rest), given).nanmean())


def _strangers(judge: Any, seen: Embeddings, scene: Scene, album: Album, rule: FaceRule) -> list[float | str]:
    """Each image's mean likeness to the input photos of all other people."""
    keys, people = [album.digest[path] for path in scene.images], [str(row["person"]) for row in scene.rows]
    photo = {person: album.digest[path] for person, path in zip(people, scene.photos, strict=True)}
    photos = seen.vectors(list(photo.values()))
    likeness = torch.stack([judge.compare(seen.vectors(keys), each) for each in photos], 1)  # [N, people]
    own = likeness[torch.arange(len(keys)), torch.tensor([list(photo).index(person) for person in people])]
    return rule((likeness.sum(1) - own) / (len(photo) - 1), seen.faces(keys))
