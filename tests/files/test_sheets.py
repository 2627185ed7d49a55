"""CSV files that went through a spreadsheet mean what they meant, or are named with a remedy."""

import csv
import io
import re
from pathlib import Path

import pytest
from PIL import Image

from src.files.sheets import read_sheet
from src.human import ratings
from src.human.kits import key_rows, make_kit
from src.metrics.scene import read_scene
from src.runs.sides import read_sides

COLUMNS = ["file", "person", "prompt", "seed"]
ROWS = [["a.png", "Zoë", 'S*, "smiling"; at the beach', "0"], ["b.png", "李", "two\nlines", "1"]]


def written(separator=",", end="\r\n", rows=None):
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=separator, lineterminator=end).writerows([COLUMNS, *(ROWS if rows is None else rows)])
    return text.getvalue()


PLAIN = [dict(zip(COLUMNS, row, strict=True)) for row in ROWS]
FORMS = {
    "plain": written().encode(),
    "byte-order mark": written().encode("utf-8-sig"),
    "semicolons": written(";").encode(),
    "tabs": written("\t").encode(),
    "semicolons and mark": written(";").encode("utf-8-sig"),
    "UTF-16": written("\t").encode("utf-16"),
    "UTF-16, big end first": b"\xfe\xff" + written(";").encode("utf-16-be"),
    "UTF-16 without a mark": written().encode("utf-16-le"),
    "a line for Excel": ("sep=;\r\n" + written(";")).encode(),
    "Unix": written(end="\n").encode(),
    "old Mac": written().replace("\r\n", "\r").encode(),
    "blank rows": (written() + ",,,\r\n\r\n , ,,\r\n").encode(),
    "blank columns": re.sub(r"(?<=[d01])\r\n", ",,\r\n", written()).encode(),
    "spaces in the header": written().replace("person", " person ").encode(),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_spreadsheets_forms_are_read_as_they_were_meant(tmp_path, form):
    path = tmp_path / "manifest.csv"
    path.write_bytes(FORMS[form])
    assert read_sheet(path, COLUMNS) == PLAIN


FAULTS = {
    "cp1252": (written(rows=ROWS[:1]).encode("cp1252"), ["line 2", "0xeb", "UTF-8"]),
    "zeros": (b"file,person\0,prompt,seed\n", ["zero bytes"]),
    "a picture": (b"\x89PNG\r\n\x1a\n\0\0\0", ["UTF-8"]),
    "a cell of 200 kB": (written(rows=[["a.png", "x", "y" * 200_000, "0"]]).encode(), ["line 2", "131072"]),
    "an open quote": (b'file,person,prompt,seed\na.png,"x,y,0\n', ["line", "mend it"]),
    "text behind a quote": (b'file,person,prompt,seed\na.png,"x"y,z,0\n', ["line 2"]),
    "a cell too many": (written().encode() + b"c.png,x,y,0,0\r\n", ["line(s) 5", "too many"]),
    "a cell too few": (written().encode() + b"c.png,x\r\n", ["line(s) 5", "too few"]),
    "a column twice": (b"file,person,person,prompt,seed\n", ["person twice"]),
    "a column missing": (b"file;person;seed\n", ["lacks the column(s) prompt"]),
    "nothing": (b"", ["lacks the column(s) file, person, prompt, seed"]),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_not_clear_is_named_with_its_remedy(tmp_path, fault):
    path = tmp_path / "manifest.csv"
    content, words = FAULTS[fault]
    path.write_bytes(content)
    with pytest.raises(ValueError, match=re.escape(str(path))) as refused:
        read_sheet(path, COLUMNS)
    assert all(word in str(refused.value) for word in words), refused.value


@pytest.fixture
def numbered(tmp_path):
    """Photos of 001, 002 and 010, an image of each, and a function that writes the manifest with these names."""
    for folder in ("photos", "images"):
        (tmp_path / folder).mkdir()
        for name in ("001", "002", "010"):
            Image.new("RGB", (8, 8)).save(tmp_path / folder / f"{name}.png")

    def manifest(*people):
        files = ("001.png", "002.png", "010.png")
        rows = [[file, person, "a photo of S*", "0"] for file, person in zip(files, people, strict=True)]
        (tmp_path / "images" / "manifest.csv").write_text(written(";", rows=rows), encoding="utf-8-sig")
        return tmp_path / "images", tmp_path / "photos"

    return manifest


def test_people_get_back_the_zeros_that_a_spreadsheet_took(numbered):
    said = []
    scene = read_scene(*numbered("1", "2", "10"), echo=said.append)
    assert [row["person"] for row in scene.rows] == ["001", "002", "010"]
    assert [photo.name for photo in scene.photos] == ["001.png", "002.png", "010.png"]
    assert any("1 as 001" in line for line in said)


def test_a_number_that_two_people_could_have_had_is_nobodys(numbered, tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "photos" / "01.png")
    with pytest.raises(ValueError, match=r"1 person\(s\) without a photo: 1"):
        read_scene(*numbered("1", "2", "10"))


NUMBERLIKE = re.compile(r"[+-]?[\d.,]+([eE][+-]?\d+)?")


def test_nothing_that_a_kit_hands_out_looks_like_a_number(made):
    kit = make_kit(read_sides([made["full"], made["no_fusion"]]), raters=2, items=3, per_sheet=9, checks=1, seed=0)
    names = [*kit.sheets, *kit.pictures, *(entry.item for entries in kit.sheets.values() for entry in entries)]
    assert all(name[0].isalpha() for name in names)
    for row in key_rows("123456789012", kit.sheets):
        assert not NUMBERLIKE.fullmatch(row["sheet"]) and not NUMBERLIKE.fullmatch(row["item"])


def test_ratings_through_a_spreadsheet_are_the_ratings(tmp_path):
    key = [{"kit": "1e5", "sheet": "001", "item": "x"}, {"kit": "1e5", "sheet": "010", "item": "x"}]
    path = Path(tmp_path / "ratings.csv")
    path.write_text("kit;sheet;rater;item;question;answer\r\nkit-1e5;1;Zoë;x;text;left\r\n;;;;;\r\n", "utf-16")
    (given,) = ratings.with_zeros(ratings.read_ratings([path]), key)
    assert given == ratings.Rating("1e5", "001", "Zoë", "x", "text", "left")
    ratings.check_ratings([given], key, ["text"])
