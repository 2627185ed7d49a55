"""People are who their photo shows: rows pair by it, whatever the runs call them, and what doesn't pair is named."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from src import compare, human_eval
from src.runs.sides import gaps, read_sides
from src.runs.store import append_row, write_csv, write_json
from src.statistics.interval import common_difference

PROMPTS = ("a photo of S* at the beach", "a pencil sketch of S*")


def face(seed: int, size: tuple[int, int] = (48, 40)) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (*size[::-1], 3), dtype=np.uint8))


def run(folder: Path, people: dict[str, Image.Image | None], *, level: float = 0.5, **saved) -> Path:
    """A finished run over these people, name -> photo (None: the run kept none)."""
    rows = []
    for number, (name, photo) in enumerate(people.items()):
        for place, prompt in enumerate(PROMPTS):
            row = {"file": f"images/{number}-{place}.png", "person": name, "prompt": prompt, "seed": 0, "family": "own"}
            row |= {"photo": f"photos/{number}.png" if photo else "", "text/t": level, "identity/i": level}
            rows.append(row)
            (folder / "images").mkdir(parents=True, exist_ok=True)
            face(100 + number + place).save(folder / row["file"])
        if photo:
            (folder / "photos").mkdir(exist_ok=True)
            photo.save(folder / f"photos/{number}.png", **saved)
    write_csv(folder / "scores.csv", rows)
    append_row(folder / "sittings.jsonl", {"kind": folder.parent.name})
    write_json(folder / "summary.json", {"images": len(rows)})
    return folder


def people_of(sides):
    return [sorted({row["person"] for row in side.rows}) for side in sides]


def test_two_photos_of_one_name_are_two_people(tmp_path):
    one = run(tmp_path / "personalise" / "a", {"photo": face(1)})
    other = run(tmp_path / "personalise" / "b", {"photo": face(2)}, level=0.9)
    sides = read_sides([one, other])
    first, second = people_of(sides)
    assert first != second and re.fullmatch(r"photo \([0-9a-f]{6}\)", first[0])
    assert common_difference(sides[1].rows, sides[0].rows, "identity/i") is None
    assert len(gaps(sides)) == 2 and all(first[0] in note or second[0] in note for note in gaps(sides))


def test_one_photo_is_one_person_whatever_the_file_and_the_name(tmp_path):
    wide = face(3, (90, 64))
    kept = ImageOps.fit(wide, (32, 32), Image.Resampling.BICUBIC)  # as a run of ours keeps it
    exif = Image.Exif()
    exif[274] = 6
    sides = read_sides(
        [
            run(tmp_path / "full" / "a", {"ada": kept}),
            run(tmp_path / "personalise" / "b", {"photo": kept}, optimize=True),
            run(tmp_path / "theirs" / "c", {"Ada L.": wide}),
            run(tmp_path / "phone" / "d", {"ada": wide.transpose(Image.Transpose.ROTATE_90)}, exif=exif),
        ]
    )
    assert people_of(sides) == [["ada"]] * 4 and not gaps(sides)
    assert common_difference(sides[2].rows, sides[0].rows, "identity/i").pairs == 2


def test_evaluated_folders_with_equal_names_pair_only_who_is_the_same(tmp_path):
    ours = run(tmp_path / "ours" / "a", {"ada": face(1), "bea": face(2)})
    theirs = run(tmp_path / "theirs" / "b", {"ada": face(1), "bea": face(5)}, level=0.9)
    sides = read_sides([ours, theirs])
    assert [names[0] for names in people_of(sides)] == ["ada", "ada"]
    assert common_difference(sides[1].rows, sides[0].rows, "text/t").people == 1
    assert any("bea (" in note for note in gaps(sides))


def test_swapped_names_are_set_right(tmp_path):
    ours = run(tmp_path / "ours" / "a", {"1": face(1), "2": face(2)})
    theirs = run(tmp_path / "theirs" / "b", {"2": face(1), "1": face(2)})
    sides = read_sides([ours, theirs])
    photos = [{row["photo"]: row["person"] for row in side.rows} for side in sides]
    assert photos[0] == photos[1] and len(set(photos[0].values())) == 2


def test_without_a_photo_people_pair_by_name_and_that_is_said(tmp_path):
    bare = run(tmp_path / "bare" / "a", {"ada": None})
    sides = read_sides([run(tmp_path / "full" / "b", {"ada": face(1)}), bare])
    assert people_of(sides) == [["ada"], ["ada"]]
    assert gaps(sides) == ["bare holds no reference photo of ada: paired by name alone"]
    three = read_sides([bare, *(run(tmp_path / "x" / str(k), {"ada": face(k)}) for k in (1, 2))])
    assert people_of(three)[0] == ["ada (no photo)"]


def test_the_commands_name_who_does_not_pair(typed, tmp_path):
    runs = [run(tmp_path / "personalise" / str(k), {"photo": face(k)}, level=k / 10) for k in (1, 2)]
    status, printed, complaint = typed(compare, *runs)
    assert status == 0, complaint
    assert printed.count("lacks 2 of 4 images: photo (") == 2
    table = Path(re.search(r"markdown: +(\S+)", printed)[1]).read_text()
    assert "Differences to" not in table
    status, _, complaint = typed(human_eval, "make", *runs)
    assert status == 1 and complaint.startswith("error: people cannot compare") and "photo (" in complaint


@pytest.mark.parametrize("command", [compare, human_eval])
def test_another_photo_is_another_comparison(typed, tmp_path, command):
    sides = [run(tmp_path / kind / "a", {"ada": face(1)}) for kind in ("ours", "theirs")]
    words = ["make"] if command is human_eval else []
    kept = []
    for seed in (1, 2):
        for side in sides:
            face(seed).save(side / "photos" / "0.png")
        status, _, complaint = typed(command, *words, *sides)
        assert status == 0, complaint
        kept.append(len(list((tmp_path / "runs" / command.__name__.rpartition(".")[2]).iterdir())))
    assert kept == [1, 2]
