"""A CSV that a spreadsheet opens runs nothing, and every cell is read back as it was."""

import csv
import io

import pytest

from src.files.sheets import read_sheet
from src.human import handouts
from src.human.kits import Entry
from src.metrics.scene import read_scene, scene_of_run
from src.reports import formats
from src.runs.store import write_csv

TEXTS = [
    '=HYPERLINK("http://x","y")', "+1 person", "-S* at the beach", "@me", "\tx", "\rx", "'=x", "''@", "'", "", "it's",
    " =1+1", "－x", "=", "-", "a=b", "plain", "'quoted'",
]  # fmt: skip
NUMBERS = ["-0.5", "+3", "-1e-5", "7"]


@pytest.mark.parametrize("text", [*TEXTS, *NUMBERS])
def test_a_cell_is_read_back_as_it_was_written(tmp_path, text):
    write_csv(tmp_path / "x.csv", [{"file": "a", "prompt": text, text or "blank": "value"}])
    assert read_sheet(tmp_path / "x.csv") == [{"file": "a", "prompt": text, text or "blank": "value"}]


@pytest.mark.parametrize("text", [text for text in TEXTS if text.strip("'")[:1] in tuple("=+-@\t\r－")])
def test_no_cell_begins_with_what_a_spreadsheet_runs(tmp_path, text):
    write_csv(tmp_path / "x.csv", [{text: text}])
    table = formats.to_csv(formats.Table([{text: text}]))
    for written in ((tmp_path / "x.csv").read_text(), table):
        for row in csv.reader(io.StringIO(written, newline="")):
            assert all(cell.startswith("'") for cell in row)


@pytest.mark.parametrize("number", NUMBERS)
def test_numbers_stay_numbers(tmp_path, number):
    write_csv(tmp_path / "x.csv", [{"a": number, "b": float(number)}])
    assert (tmp_path / "x.csv").read_text() == f"a,b\n{number},{float(number)}\n"


def test_rows_to_be_judged_are_read_unmarked(tmp_path):
    row = {"file": "a.png", "person": "@ada", "prompt": "=S*", "seed": 0, "family": "-x", "photo": ""}
    write_csv(tmp_path / "images.csv", [row])
    (tmp_path / "a.png").write_bytes(b"")
    assert scene_of_run(tmp_path).rows == [{**row, "seed": "0"}]
    (read,) = read_scene(tmp_path, None, need_photos=False).rows
    assert read["prompt"] == "=S*" and read["person"] == "@ada"


def test_a_prompt_in_a_markdown_table_is_text():
    prompt = "<script>alert(1)</script> | ![x](http://y) & *S* \\ \n`code`"
    page = formats.to_markdown(formats.Table([{"prompt": prompt, "<b>": 1.0}], ["<img src=x>"]))
    assert "<" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page and "&amp;" in page
    assert "](" not in page.replace("\\](", "")
    assert len(page.splitlines()) == 5


def test_mechanical_turk_gets_no_four_byte_signs_and_no_formulas(tmp_path):
    entry = Entry("i", ("ada", "=S* 😀 <b>", "0"), "p", "l", "r", "full", "copy")
    (row,) = handouts.hit_rows("kit", {"001": [entry]}, "a person", "images")
    assert row["prompt_1"] == "&#61;a person &#128512; &lt;b&gt;"
    write_csv(tmp_path / "hits.csv", [row])
    assert max((tmp_path / "hits.csv").read_bytes()) < 0xF0  # no sign of four bytes begins
    assert max(handouts.hit_page(1, {"text": "Which? 😀"}).encode()) < 0xF0
