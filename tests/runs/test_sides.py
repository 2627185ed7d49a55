"""Several runs read as sides: their order and names, what is refused, and what one of them lacks."""

import shutil

import pytest

from src.files.sheets import read_sheet
from src.runs.sides import gaps, read_sides
from src.runs.store import write_csv, write_json
from src.statistics.interval import common_difference

METHODS = ("full", "no_fusion", "no_refinement")


def test_methods_come_first_then_floors_and_ceilings(made):
    mixed = read_sides([made[name] for name in ("oracle_vae", "copy", "no_fusion", "full")])
    assert [(side.name, side.role) for side in mixed] == [
        ("no_fusion", "method"),
        ("full", "method"),
        ("copy", "floor"),
        ("oracle_vae", "ceiling"),
    ]


def test_a_run_of_ablate_stands_for_its_sides_and_each_run_counts_once(made, tmp_path):
    root = tmp_path / "runs"
    for name in ("full", "no_fusion", "copy"):
        shutil.copytree(made[name], root / name / made[name].name)
    own = {name: made[name].name for name in ("full", "no_fusion", "copy")}
    write_json(root / "ablate" / "abc" / "summary.json", {"sides": own})
    found = read_sides([root / "ablate" / "abc", root / "full" / own["full"]])
    assert [side.name for side in found] == ["full", "no_fusion", "copy"]


def test_what_cannot_be_compared_is_listed_by_name(made, tmp_path):
    for name in ("full", "no_fusion", "no_refinement"):
        shutil.copytree(made[name], tmp_path / name)
    (tmp_path / "full" / "summary.json").unlink()
    lost = read_sheet(tmp_path / "no_fusion" / "scores.csv")[3]["file"]
    (tmp_path / "no_fusion" / lost).unlink()
    rows = read_sheet(tmp_path / "no_refinement" / "scores.csv")
    write_csv(tmp_path / "no_refinement" / "scores.csv", [*rows, rows[5]])
    with pytest.raises(ValueError, match="cannot be compared") as error:
        read_sides([tmp_path / name for name in ("nowhere", *METHODS)])
    for word in (
        "nowhere is not there",
        "full is not finished",
        lost,
        f"twice: {rows[5]['person']} / {rows[5]['prompt']}",
    ):
        assert word in str(error.value)


def test_names_must_fit_and_two_measures_of_a_kind_are_refused(made, tmp_path):
    with pytest.raises(ValueError, match="2 different names"):
        read_sides([made["full"], made["copy"]], ["a", "a"])
    shutil.copytree(made["copy"], tmp_path / "copy" / "second")
    with pytest.raises(ValueError, match="2 runs are copy"):
        read_sides([made["full"], made["copy"], tmp_path / "copy" / "second"])
    with pytest.raises(ValueError, match="only floors and ceilings"):
        read_sides([made["copy"]])


def test_an_image_that_one_run_lacks_is_named(made, tmp_path):
    shutil.copytree(made["no_fusion"], tmp_path / "no_fusion" / "short")
    rows = read_sheet(made["no_fusion"] / "scores.csv")
    write_csv(tmp_path / "no_fusion" / "short" / "scores.csv", rows[1:])
    (tmp_path / "no_fusion" / "short" / "files.json").unlink()  # as of before files were listed
    found = read_sides([made["full"], tmp_path / "no_fusion" / "short"])
    wanted = f"no_fusion lacks 1 of {len(rows)} images: {rows[0]['person']} / {rows[0]['prompt']} / {rows[0]['seed']}"
    assert gaps(found) == [wanted]
    difference = common_difference(found[1].rows, found[0].rows, "text/a")
    assert difference.pairs == len(rows) - 1
