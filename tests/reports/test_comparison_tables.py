"""Several runs side by side: what is read, what is refused, and what the numbers mean."""

import pytest

from src.reports import comparison_tables
from src.reports.formats import plain_rows, to_markdown
from src.reports.latex import escaped, to_latex
from src.runs.sides import read_sides
from src.statistics.interval import interval
from src.statistics.table import Table


@pytest.fixture(scope="module")
def sides(made):
    return read_sides(list(made.values()))


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
