"""`python -m src.compare` as a user types it."""

import base64
import io
import json
import re
import shutil
from pathlib import Path

import pytest
from PIL import Image

from src import compare, human_eval
from src.files.sheets import read_sheet
from src.harness.settings.words import gathered
from src.runs.store import write_csv


def data_of(page: Path) -> dict:
    text = page.read_text()
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.S)[1])


@pytest.fixture
def compared(typed, made, tmp_path):
    status, printed, complaint = typed(compare, *made.values())
    assert status == 0, complaint
    return Path(re.search(r"page: +(\S+)", printed)[1]).parent


def test_words_that_set_nothing_become_a_list(tmp_path):
    odd = tmp_path / "a=b"
    odd.mkdir()
    words = ["runs/it's", "pixels=9", str(odd), "--cfg", "job", "+x=1"]
    assert gathered(words, "compared") == ["pixels=9", "--cfg", "job", "+x=1", rf"compared=['runs/it\'s','{odd}']"]
    assert gathered(["x=1"], "compared") == ["x=1"]


def test_page_and_tables_hold_the_scores_of_the_runs(compared, made):
    data = data_of(compared / "compare.html")
    rows = read_sheet(made["no_fusion"] / "scores.csv")
    place = [column["key"] for column in data["columns"]].index("text/a")
    shown = {(c["person"], c["prompt"], c["seed"]): c["scores"]["no_fusion"][place] for c in data["cells"]}
    assert shown == {(r["person"], r["prompt"], r["seed"]): pytest.approx(float(r["text/a"])) for r in rows}
    for name in ("tables.md", "tables.tex"):
        text = (compared / name).read_text()
        assert all(run in text.replace("\\", "") for run in made)
    long = {(row["run"], row["column"]): row for row in read_sheet(compared / "estimates.csv")}
    assert len(long) == len(made) * len(data["columns"])


def test_pictures_in_the_page_are_those_of_the_runs_without_their_settings(compared, made):
    data = data_of(compared / "compare.html")
    row = read_sheet(made["full"] / "scores.csv")[7]
    wanted = (row["person"], row["prompt"], row["seed"])
    (cell,) = [c for c in data["cells"] if (c["person"], c["prompt"], c["seed"]) == wanted]
    content = base64.b64decode(data["pictures"][cell["shown"]["full"]].partition(",")[2])
    with Image.open(io.BytesIO(content)) as shown, Image.open(made["full"] / row["file"]) as original:
        assert list(shown.getdata()) == list(original.convert("RGB").getdata())
        assert not shown.info
    assert len(set(data["pictures"])) == len(data["pictures"])


def test_the_page_needs_nothing_else_and_reads_prompts_as_words(compared):
    text = (compared / "compare.html").read_text()
    assert not re.findall(r'(?:src|href)="(?!#)[^"]', text)
    assert "<b>golden" not in text
    assert text.count("</script>") == 2


def test_the_same_comparison_is_made_once_and_another_order_or_choice_anew(typed, made, tmp_path, compared):
    stamp = (compared / "compare.html").stat().st_mtime_ns
    assert str(compared) in typed(compare, *made.values())[1]
    assert (compared / "compare.html").stat().st_mtime_ns == stamp
    assert str(compared) not in typed(compare, *list(made.values())[:3])[1]
    turned = typed(compare, *reversed(made.values()))[1]
    assert "Differences to no_refinement" in Path(re.search(r"markdown: +(\S+)", turned)[1]).read_text()


def test_names_and_reference(typed, made):
    words = [made["full"], made["no_fusion"], "names=[ours,mixed]", "reference=mixed"]
    status, printed, complaint = typed(compare, *words)
    assert status == 0, complaint
    text = Path(re.search(r"markdown: +(\S+)", printed)[1]).read_text()
    assert "## Differences to mixed" in text
    assert "| ours | method |" in text


def test_larger_pictures_are_reduced(typed, made):
    _, printed, _ = typed(compare, made["full"], "pixels=32")
    data = data_of(Path(re.search(r"page: +(\S+)", printed)[1]))
    with Image.open(io.BytesIO(base64.b64decode(data["pictures"][0].partition(",")[2]))) as picture:
        assert picture.size == (32, 32)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], ["no runs are given"]),
        (["nowhere"], ["nowhere", "no folder of a run"]),
        (["RUN", "reference=moon"], ["reference (moon)", "full"]),
        (["RUN", "names=[a,b]"], ["names (a, b)", "1 different"]),
        (["RUN", "pixel=3"], ["pixel", "pixels"]),
        (["DAMAGED"], ["images/", "cannot be read"]),
    ],
)
def test_bad_input_ends_with_one_sentence_and_writes_no_page(typed, made, tmp_path, words, said):
    damaged = tmp_path / "full" / "damaged"
    shutil.copytree(made["full"], damaged)
    victim = next(iter(sorted((damaged / "images").iterdir())))
    victim.write_bytes(victim.read_bytes()[:300])
    places = {"RUN": made["full"], "DAMAGED": damaged}
    status, _, complaint = typed(compare, *(places.get(word, word) for word in words))
    assert status == 1
    assert complaint.startswith("error: ")
    assert all(word in complaint for word in said), complaint
    assert not list(tmp_path.glob("runs/compare/*/compare.html"))
    assert not list(tmp_path.glob("runs/compare/*/summary.json"))


@pytest.mark.parametrize("way", ["up", "absolute", "link"])
@pytest.mark.parametrize("column", ["file", "photo"])
def test_a_row_that_names_a_picture_outside_its_run_is_refused(typed, made, tmp_path, column, way):
    run, secret = tmp_path / "full" / "0123456789ab", tmp_path / "secret.png"
    shutil.copytree(made["full"], run)
    shutil.copyfile(next(run.glob("images/*.png")), secret)
    (run / "there.png").symlink_to(secret)
    rows = read_sheet(run / "scores.csv")
    rows[0][column] = {"up": "../../secret.png", "absolute": str(secret)}.get(way, "there.png")
    write_csv(run / "scores.csv", rows)
    for command, words in ((compare, []), (human_eval, ["make"])):
        status, _, complaint = typed(command, *words, run, made["no_fusion"])
        assert status == 1
        assert "names pictures outside its folder" in complaint and rows[0][column] in complaint


@pytest.mark.parametrize("name", ["overview.txt", "compare.html", "tables.md", "tables.tex"])
def test_what_was_taken_away_from_a_comparison_is_named(typed, made, tmp_path, name):
    runs = [made["full"], made["no_fusion"]]
    assert typed(compare, *runs)[0] == 0
    next((tmp_path / "runs" / "compare").glob(f"*/{name}")).unlink()
    status, printed, complaint = typed(compare, *runs)
    assert status == 1
    assert f"/{name} is missing: " in complaint and f"/{name}" not in printed
