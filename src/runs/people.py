"""Who is who in several runs: people are one where their reference photo is, whatever the runs call them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from src.files.pictures import decode_picture, pixel_digest
from src.files.rows import Row

Who = tuple[int, str]  # number of a run, name in it
RunRows = tuple[Path, Sequence[Row]]  # a run's folder, and its rows


@dataclass(frozen=True)
class _Photo:
    """What a photo shows: its digest, and those of its central squares at the sizes at which runs kept theirs."""

    digest: str
    squares: frozenset[str]

    def shows(self, other: "_Photo") -> bool:
        return self.digest == other.digest or self.digest in other.squares or other.digest in self.squares


def names_by_photo(runs: Sequence[RunRows]) -> list[dict[str, str]]:
    """For each run (folder, rows) its people's names -> names under which they can be paired across the runs.

    A person is whom their reference photos show: the same pixels, or the square that a run kept of a larger photo.
    Different people of one name get the start of their photo's digest behind it. Who has no photo here is known by
    name alone. ValueError for a photo that cannot be read.
    """
    photos_of = _photos(runs)
    groups: list[tuple[frozenset[_Photo], list[Who]]] = []  # photos, and who is shown by them in which run
    for who, photos in photos_of.items():
        same = next((people for known, people in groups if photos and _same(known, photos)), None)
        if same is not None:
            same.append(who)
        elif photos:
            groups.append((photos, [who]))
    names = _named(groups)
    for who in (who for who, photos in photos_of.items() if not photos):
        bearers = {names[other] for _, people in groups for other in people if other[1] == who[1]}
        names[who] = bearers.pop() if len(bearers) == 1 else f"{who[1]} (no photo)" if bearers else who[1]
    return [{name: names[run, name] for run, name in photos_of if run == number} for number in range(len(runs))]


def other_people(judged: RunRows, given: Mapping[str, RunRows]) -> list[str]:
    """Says which of the given runs (name -> folder and rows) show other people than the judged run."""
    mine, *theirs = names_by_photo([judged, *given.values()])
    foreign = [sorted(set(names.values()) - set(mine.values())) for names in theirs]
    return [
        f"the anchor {name} is of other people, too: {', '.join(who)}"
        for name, who in zip(given, foreign, strict=True)
        if who
    ]


def _same(one: frozenset[_Photo], other: frozenset[_Photo]) -> bool:
    return all(any(a.shows(b) for b in other) for a in one) and all(any(a.shows(b) for a in one) for b in other)


def _named(groups: Sequence[tuple[frozenset[_Photo], Sequence[Who]]]) -> dict[Who, str]:
    """A group is called as its first run calls it; where that is another group's name, too, by its digest besides."""
    called = [{name for _, name in people} for _, people in groups]
    names: dict[Who, str] = {}
    for shown, people in groups:
        first = people[0][1]
        shared = sum(first in others for others in called) > 1
        label = f"{first} ({min(photo.digest for photo in shown)[:6]})" if shared else first
        names |= dict.fromkeys(people, label)
    return names


def _photos(runs: Sequence[RunRows]) -> dict[Who, frozenset[_Photo]]:
    """The reference photos of everybody in every run, of those whose files are here."""
    paths: dict[Who, dict[Path, None]] = {}
    for number, (folder, rows) in enumerate(runs):
        for row in rows:
            photos = paths.setdefault((number, str(row["person"])), {})
            if row.get("photo") and (folder / row["photo"]).is_file():
                photos[(folder / row["photo"]).resolve()] = None
    sizes = {path: decode_picture(path).size for photos in paths.values() for path in photos}
    squares = {width for width, height in sizes.values() if width == height}
    known = {
        path: _Photo(
            pixel_digest(path),
            frozenset(pixel_digest(path, side) for side in squares if side <= min(size) and size != (side, side)),
        )
        for path, size in sizes.items()
    }
    return {who: frozenset(known[path] for path in photos) for who, photos in paths.items()}
