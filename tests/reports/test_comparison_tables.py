"""Several runs side by side: what is read, what is refused, and what the numbers mean."""

import shutil

import pytest

from src.files.sheets import read_sheet
from src.reports import comparison_tables
from src.reports.formats import plain_rows, to_markdown
from src.reports.latex import escaped, to_latex
from src.runs.sides import gaps, read_sides
from src.runs.store import write_csv, write_json
from src.statistics.interval import common_difference, interval
from src.statistics.table import Table

METHODS = ("full", "no_fusion", "no_refinement")


@pytest.fixture(scope="module")
def sides(made):
    return read_sides(list(made.values()))


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


def test_floor_and_ceiling_are_nought_and_one(sides):
    scored, labels, notes = comparison_tables.with_overall(sides)
    means = {side.name: {kind: interval(side.rows, kind).mean for kind in labels} for side in scored}
    assert not notes
    assert means["copy"]["text"] == pytest.approx(0, abs=1e-9)
    assert means["other"]["identity"] == pytest.approx(0, abs=1e-9)
    assert list(means["oracle_vae"].values()) == pytest.approx([1, 1])
    assert means["full"]["text"] > means["no_fusion"]["text"]


def test_without_anchors_the_mean_is_plain_and_says_so(made):
    scored, labels, notes = comparison_tables.with_overall(read_sides([made["full"], made["no_fusion"]]))
    row = scored[0].rows[0]
    assert row["text"] == pytest.approx((float(row["text/a"]) + float(row["text/b"])) / 2)
    assert "normalised" not in labels["text"]
    assert any("it needs copy and oracle_vae among the runs" in note for note in notes)


def test_the_papers_layout_has_a_line_for_each_method_and_blanks_for_what_nobody_printed(sides):
    published = {"printed": {"text/A": 0.5, "identity/zzz": 0.1}, "elsewhere": {"identity/zzz": 0.1}}
    table = comparison_tables.paper_layout(sides, "text", ["text/a", "text/b"], published)
    assert [row["method"] for row in table.rows] == [*(side.name for side in sides), "printed"]
    assert table.rows[0]["a"] == interval(sides[0].rows, "text/a").mean
    assert table.rows[-1] == {"method": "printed", "a": 0.5, "b": None, "people": None, "prompts": None, "seeds": None}


def test_latex_is_balanced_escaped_and_bold_where_a_method_is_best():
    rows = [{"method": name, "a_b": value, "people": 3} for name, value in (("x_1", 0.25), ("y", -0.5), ("floor", 0.9))]
    text = to_latex(Table(rows, ["100 % & more"]), caption="C", contest=["x_1", "y"], apart=["floor"])
    lines = text.splitlines()
    assert r"method & a\_b \\" in lines
    assert r"x\_1 & \textbf{0.250} \\" in lines
    assert r"y & $-$0.500 \\" in lines
    assert lines[lines.index(r"floor & 0.900 \\") - 1] == r"\midrule"
    assert r"\caption{C. 3 people. 100 \% \& more.}" in lines
    for name in ("table", "tabular"):
        assert text.count(rf"\begin{{{name}}}") == text.count(rf"\end{{{name}}}") == 1
    assert escaped("a-b ~ ^ \\") == r"a-b \textasciitilde{} \textasciicircum{} \textbackslash{}"


def test_a_table_for_a_page_says_what_markdown_says(sides):
    table = comparison_tables.differences(comparison_tables.with_overall(sides)[0], sides[0], ["text/a", "face_found"])
    plain = plain_rows(table)
    lines = [line for line in to_markdown(table).splitlines() if line.startswith("|")][2:]
    assert [[text for text, _ in row] for row in plain["rows"]] == [line.strip("| ").split(" | ") for line in lines]
    assert plain["rows"][0][2][1] == table.rows[0]["difference"]
