"""A kit is blind, balanced and complete, and its seed decides everything."""

import re
import shutil
from collections import Counter, defaultdict
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from src.files.sheets import read_sheet
from src.human import handouts
from src.human.kits import key_rows, make_kit
from src.runs.sides import read_sides
from src.runs.store import write_csv

NUMBERS = {"raters": 5, "items": 4, "per_sheet": 5, "checks": 2, "seed": 0}
ASK = {"text": "Which fits <better>?", "identity": "Who is it?"}


@pytest.fixture(scope="module")
def sides(made):
    return read_sides([made[name] for name in ("full", "no_fusion", "no_refinement")])


@pytest.fixture(scope="module")
def kit(sides):
    return make_kit(sides, **NUMBERS)


def test_every_pair_of_runs_is_on_five_sheets_of_one_length(kit):
    lengths = {len(entries) for entries in kit.sheets.values()}
    pairs = [entry for entries in kit.sheets.values() for entry in entries if not entry.expected]
    assert lengths == {6}  # 12 pairs on 3 blocks of 4, each with 2 checks
    assert set(Counter(entry.item for entry in pairs).values()) == {5}
    runs = {entry.item: frozenset((entry.left_run, entry.right_run)) for entry in pairs}
    assert set(Counter(runs.values()).values()) == {4}
    assert all(len({e.item for e in entries}) == len(entries) for entries in kit.sheets.values())


def test_a_pair_shows_two_runs_of_one_person_prompt_and_seed(kit, sides):
    files = {side.name: {cell: side.file(row["file"]) for cell, row in side.cells().items()} for side in sides}
    for entry in kit.sheets["s001"]:
        if not entry.expected:
            for token, run in ((entry.left, entry.left_run), (entry.right, entry.right_run)):
                with Image.open(files[run][entry.cell]) as picture:
                    assert np.array_equal(np.asarray(kit.pictures[token]), np.asarray(picture.convert("RGB")))


def test_sides_are_balanced_and_order_differs(kit):
    sides_of = defaultdict(list)
    for entries in kit.sheets.values():
        for entry in entries:
            if not entry.expected:
                sides_of[entry.item].append(entry.left_run)
    assert all(sorted(Counter(runs).values()) == [2, 3] for runs in sides_of.values())
    firsts = [[e.item for e in kit.sheets[f"s{k:03d}"] if not e.expected] for k in range(1, 6)]
    assert len({tuple(order) for order in firsts}) > 1
    assert len({frozenset(order) for order in firsts}) == 1


def test_an_attention_check_has_the_same_pixels_on_both_sides_in_another_order(kit):
    checks = [entry for entries in kit.sheets.values() for entry in entries if entry.expected]
    assert {entry.expected for entry in checks} == {"left", "right"}
    for entry in checks:
        left, right = (np.asarray(kit.pictures[token]) for token in (entry.left, entry.right))
        assert not np.array_equal(left, right)
        assert np.array_equal(np.sort(left, axis=None), np.sort(right, axis=None))
        assert (entry.left_run if entry.expected == "left" else entry.right_run) == "the whole picture"


def test_the_seed_decides_everything(sides, kit):
    assert make_kit(sides, **NUMBERS).sheets == kit.sheets
    assert make_kit(sides, **{**NUMBERS, "seed": 1}).sheets != kit.sheets


def test_few_items_come_from_many_people(sides):
    few = make_kit(sides[:2], **{**NUMBERS, "items": 3})
    assert len({entry.cell[0] for entries in few.sheets.values() for entry in entries if not entry.expected}) == 3


def test_nothing_that_raters_get_names_a_run(kit, sides):
    page = handouts.sheet_page("kit", "s001", kit, ASK, "this person", 512)
    hit = handouts.hit_page(6, ASK)
    rows = handouts.hit_rows("kit", kit.sheets, "this person", "https://example.org/k/")
    for text in (page, hit, str(rows)):
        assert not re.search(r"no_fusion|no_refinement|the whole picture|S\*", text)
    assert not any(picture.info for picture in kit.pictures.values())


def test_the_hits_csv_fills_every_place_of_the_layout(kit):
    hit = handouts.hit_page(6, ASK)
    places = set(re.findall(r"\$\{(\w+)\}", hit))
    rows = handouts.hit_rows("kit", kit.sheets, "this person", "https://example.org/k/")
    assert all(places | {"kit", "sheet"} <= set(row) for row in rows)
    assert "Which fits &lt;better&gt;?" in hit
    assert rows[0]["left_1"] == f"https://example.org/k/{kit.sheets['s001'][0].left}.png"


def test_the_key_knows_every_entry(kit):
    rows = key_rows("kit", kit.sheets)
    assert len(rows) == sum(map(len, kit.sheets.values()))
    assert {(row["sheet"], row["item"]) for row in rows} == {(s, e.item) for s, es in kit.sheets.items() for e in es}


def test_runs_that_do_not_match_are_named(made, tmp_path, sides):
    shutil.copytree(made["no_fusion"], tmp_path / "no_fusion" / "short")
    rows = read_sheet(made["no_fusion"] / "scores.csv")
    write_csv(tmp_path / "no_fusion" / "short" / "scores.csv", rows[1:])
    (tmp_path / "no_fusion" / "short" / "files.json").unlink()  # as of before files were listed
    short = read_sides([tmp_path / "no_fusion" / "short"])
    with pytest.raises(ValueError, match="no_fusion lacks") as error:
        make_kit([sides[0], *short], **NUMBERS)
    assert f"{rows[0]['person']} / {rows[0]['prompt']} / {rows[0]['seed']}" in str(error.value)
    bare = replace(sides[1], rows=[{**row, "photo": ""} for row in sides[1].rows])
    with pytest.raises(ValueError, match="no picture or no photo"):
        make_kit([sides[0], bare], **NUMBERS)


@pytest.mark.parametrize("name", ["raters", "items", "per_sheet", "checks"])
def test_numbers_below_one_are_refused(sides, name):
    with pytest.raises(ValueError, match=rf"{name} \(0\)"):
        make_kit(sides, **{**NUMBERS, name: 0})


def test_one_run_cannot_be_compared(sides):
    with pytest.raises(ValueError, match="at least two runs"):
        make_kit(sides[:1], **NUMBERS)
