"""`python -m src.evaluate` as a user types it: judges of one's own, reuse, what is written, and bad input."""

import importlib.util
import json
import re
import shutil
import sys
from itertools import product
from pathlib import Path

import huggingface_hub
import open_clip
import pytest
import torch
import yaml
from PIL import Image

import src.metrics
from src import bench, evaluate
from src.files.sheets import read_sheet
from src.tiny_world.judges.identity import ConvRecogniser, write_onnx
from src.tiny_world.judges.text import build_tokenizer, model_config, write_text_judge

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "conf" / "judges" / "README.md").read_text()
PROMPTS = ("a photo of S* in the snow", "a photo of S* wearing a red hat")


@pytest.fixture(scope="module")
def judges(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict]:
    """Settings of random judges in the real formats: kind -> name -> settings, of each part that a test may ask for."""
    folder, tokenizer = tmp_path_factory.mktemp("judges"), build_tokenizer()
    for name in ("text_a", "text_b"):
        torch.manual_seed(0)
        config = model_config(name, tokenizer.get_vocab_size())
        write_text_judge(open_clip.CLIP(**config), config, tokenizer, folder / name)
    write_onnx(ConvRecogniser(out=16, width=8), folder / "faces.onnx")
    clip, faces = "src.metrics.text_similarity.TextSimilarity", "src.metrics.identity.Identity"
    a, b = ({"_target_": clip, "model": f"local-dir:{folder / name}"} for name in ("text_a", "text_b"))
    inference = {"_target_": "src.metrics.identity.Inference", "threads": 2}
    face = {"faces": {"_target_": faces, "model": str(folder / "faces.onnx"), "inference": inference}}
    return {"a": {"text": {"a": a}}, "ab": {"text": {"a": a, "b": b}}, "faces": {"identity": face}} | {
        "image": {"image": {"clip_i": a}}
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """images/ of 3 people x 2 prompts x 2 seeds with their manifest; photos/ with two photos of each person."""
    rows = [(p, q, s) for p in range(3) for q in range(2) for s in range(2)]
    for number, (person, prompt, seed) in enumerate(rows):
        picture(tmp_path / "images" / f"{person}-{prompt}-{seed}.png", number)
    for person in range(3):
        for number in range(2):
            picture(tmp_path / "photos" / f"p{person}" / f"{number}.jpg", 100 + 10 * person + number)
    lines = [f"{p}-{q}-{s}.png,p{p},{PROMPTS[q]},{s}" for p, q, s in rows]
    (tmp_path / "images" / "manifest.csv").write_text("\n".join(["file,person,prompt,seed", *lines]) + "\n")
    return tmp_path


def picture(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = torch.randint(0, 256, (64, 64, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))
    Image.fromarray(pixels.numpy()).save(path)


def chosen(folder: Path, *parts: dict) -> list[str]:
    """Overrides that choose these judges, from a file in a configuration folder of one's own."""
    file = folder / "conf" / "judges" / "chosen.yaml"
    file.parent.mkdir(parents=True, exist_ok=True)
    settings = {"defaults": ["none"], **{kind: several for part in parts for kind, several in part.items()}}
    file.write_text(yaml.safe_dump(settings, sort_keys=False))
    return [f"hydra.searchpath=[file://{folder}/conf]", "judges=chosen"]


@pytest.fixture
def run(monkeypatch, folder, capsys):
    """Run a command in this process; returns (status, printed, complained)."""

    def typed(*asked, words=("images=images", "photos=photos")):
        parts = [part for part in asked if isinstance(part, dict)]
        overrides = [*words, *chosen(folder, *parts), *(word for word in asked if isinstance(word, str))]
        monkeypatch.setattr(sys, "argv", ["evaluate", "logger.mode=disabled", *overrides])
        monkeypatch.chdir(folder)
        status = 0
        try:
            evaluate.main()
        except SystemExit as stop:
            status = 0 if stop.code in (None, 0) else 1
            print(stop.code or "", file=sys.stderr)
        out, err = capsys.readouterr()
        return status, out, err.strip().splitlines()[-1] if err.strip() else ""

    return typed


def written(folder: Path, printed: str) -> Path:
    return (folder / re.search(r"scores: (\S+)", printed)[1]).parent


def test_a_folder_is_judged_and_the_run_is_like_every_other(run, folder, judges):
    status, printed, complaint = run(judges["ab"], judges["faces"], judges["image"], "system=mine")
    assert status == 0, complaint
    where = written(folder, printed)
    rows = read_sheet(where / "scores.csv")
    assert where.parent.name == "mine" and len(rows) == 12
    kinds = {name.partition("/")[0] for name in rows[0]}
    assert {"text", "identity", "face_found", "image", "right", "copy_paste", "diversity", "faces"} <= kinds
    assert Image.open(where / rows[0]["file"]).size == (64, 64) and (where / rows[0]["photo"]).is_file()
    summary = json.loads((where / "summary.json").read_text())
    assert (summary["images"], summary["people"], summary["prompts"], summary["seeds"]) == (12, 3, 2, 2)
    assert summary["text/a"] == pytest.approx(sum(float(row["text/a"]) for row in rows) / 12)
    assert {row["anchor"] for row in read_sheet(where / "anchors.csv")} == {"copy", "other", "same"}
    assert "illustration (n = 3" in printed and "no face: score 0; several faces: the largest is scored" in printed


def test_one_more_judge_looks_alone_and_a_changed_image_alone_is_looked_at_again(run, folder, judges):
    run(judges["a"], judges["faces"])
    kept = {path: path.stat().st_mtime_ns for path in (folder / "runs" / "embeddings").rglob("*.safetensors")}
    first = read_sheet(next((folder / "runs" / "results").glob("*/scores.csv")))
    assert len(kept) == 3  # images of two judges, prompts of one
    _, printed, _ = run(judges["ab"], judges["faces"])
    files = list((folder / "runs" / "embeddings").rglob("*.safetensors"))
    assert len(files) == 5 and all(path.stat().st_mtime_ns == stamp for path, stamp in kept.items())
    both = read_sheet(written(folder, printed) / "scores.csv")
    assert [row["text/a"] for row in both] == [row["text/a"] for row in first]
    picture(folder / "images" / "0-0-0.png", 77)
    _, printed, _ = run(judges["ab"], judges["faces"])
    after = read_sheet(written(folder, printed) / "scores.csv")
    assert [row["text/a"] != old["text/a"] for row, old in zip(after, both, strict=True)] == [True] + [False] * 11
    assert len(list((folder / "runs" / "embeddings").rglob("*.safetensors"))) == 8


def test_an_unchanged_folder_is_not_judged_twice(run, folder, judges):
    _, first, _ = run(judges["a"])
    stamp = (written(folder, first) / "scores.csv").stat().st_mtime_ns
    _, again, _ = run(judges["a"])
    assert again == first and (written(folder, again) / "scores.csv").stat().st_mtime_ns == stamp


def test_a_setting_that_changes_a_number_is_in_the_key(run, folder, judges):
    """Another run, or the very same: each of these names files that the first run had looked at, too."""
    for name, order in (("first", (0,)), ("reversed", (1, 0))):
        for person, (place, number) in product(range(3), enumerate(order)):
            copy = folder / name / f"p{person}" / f"{place}.jpg"
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(folder / "photos" / f"p{person}" / f"{number}.jpg", copy)
    text = (folder / "images" / "manifest.csv").read_text()
    (folder / "other.csv").write_text(text.replace("snow", "desert"))
    deciding = ["real=photos/p0", "photos=first", "photos=reversed", "manifest=other.csv", "generic=somebody"]
    deciding += ["faces.none=excluded", "faces.several=zero", "system=mine", "world.text_towers=[a/b]"]
    every = [judges["a"], judges["faces"], judges["image"]]
    first = written(folder, run(*every)[1])
    found = {change: written(folder, run(*every, change)[1]) for change in deciding}
    assert len({first, *found.values()}) == 1 + len(deciding) - 1, found  # no judge is built on that tower
    for change in ("batch=3", "missing=leave_out", "logger.project=another"):
        assert written(folder, run(*every, change)[1]) == first, change


def test_a_phones_photo_scores_as_the_same_picture_upright(run, folder, judges):
    """Reference photo and image show the same, one of them stored sideways (EXIF orientation 6)."""
    shutil.rmtree(folder / "images")
    shutil.rmtree(folder / "photos")
    picture(folder / "images" / "0.png", 1)
    (folder / "photos").mkdir()
    exif = Image.Exif()
    exif[274] = 6
    with Image.open(folder / "images" / "0.png") as upright:
        upright.transpose(Image.Transpose.ROTATE_90).save(folder / "photos" / "ada.PNG", exif=exif)
    (folder / "images" / "manifest.csv").write_text("file,person,prompt,seed\n0.png,ada,a photo of sks person,0\n")
    _, printed, complaint = run(judges["faces"])
    (row,) = read_sheet(written(folder, printed) / "scores.csv")
    assert float(row["identity/faces"]) == pytest.approx(1, abs=1e-5), complaint
    assert '"sks"' in printed and "write S*" in printed


def test_a_prompt_too_long_for_a_judge_is_named_before_anything_is_scored(run, folder, judges):
    manifest = folder / "images" / "manifest.csv"
    manifest.write_text(manifest.read_text().replace("in the snow", f"in {'the ' * 30}snow"))
    status, _, complaint = run(judges["a"])
    assert status == 1 and "the snow" in complaint and "(for a)" in complaint and "too long" in complaint
    assert not (folder / "runs").exists()


def test_a_group_as_reference_photo_is_said_and_a_cat_refused_before_the_images(run, folder):
    pytest.importorskip("dlib")
    skimage, insightface = (Path(importlib.util.find_spec(name).origin).parent for name in ("skimage", "insightface"))
    shutil.rmtree(folder / "images")
    shutil.rmtree(folder / "photos")
    shutil.copytree(skimage / "data", folder / "images", ignore=lambda _, names: {*names} - {"astronaut.png"})
    (folder / "images" / "manifest.csv").write_text("file,person,prompt,seed\nastronaut.png,eileen,S*,0\n")
    (folder / "photos").mkdir()
    shutil.copy(insightface / "data" / "images" / "t1.jpg", folder / "photos" / "eileen.jpg")
    status, printed, complaint = run("judges=dlib")
    assert status == 0 and "dlib finds 6 faces in photos/eileen.jpg: the largest is taken" in printed, complaint
    (folder / "photos" / "eileen.jpg").unlink()
    shutil.copy(skimage / "data" / "chelsea.png", folder / "photos" / "eileen.png")
    status, _, complaint = run("judges=dlib")
    assert status == 1 and "dlib finds no face in the photo(s) photos/eileen.png" in complaint


def test_the_face_rule_is_printed_and_obeyed(run, folder, judges, tmp_path):
    dark = {"identity": {"faces": judges["faces"]["identity"]["faces"] | {"presence": str(tmp_path / "never.onnx")}}}
    never = torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(3, 1))
    torch.nn.init.zeros_(never[2].weight)
    torch.nn.init.constant_(never[2].bias, -1)
    write_onnx(never, tmp_path / "never.onnx")
    _, printed, _ = run(dark, "faces.none=excluded")
    rows = read_sheet(written(folder, printed) / "scores.csv")
    assert {row["identity/faces"] for row in rows} == {""} and {row["face_found"] for row in rows} == {"0"}
    assert "no face: excluded from the mean" in printed
    _, printed, _ = run(dark)
    assert {row["identity/faces"] for row in read_sheet(written(folder, printed) / "scores.csv")} == {"0.0"}


def test_the_generators_own_text_tower_is_marked(run, folder, judges):
    tower = judges["a"]["text"]["a"]["model"]
    _, printed, _ = run(judges["ab"], judges["faces"], f"world.text_towers=['{tower}/None']")
    assert "text/a †" in printed and "text/b †" not in printed and "† this judge's backbone" in printed


def test_a_run_of_ours_gives_floors_and_ceilings(run, folder, judges):
    _, printed, _ = run(judges["a"], judges["faces"], "system=oracle")
    oracle = written(folder, printed)
    _, printed, complaint = run(judges["a"], judges["faces"], f"anchors.oracle={oracle}")
    table = {row["judge"]: row for row in read_sheet(written(folder, printed) / "table.csv")}
    assert table["identity/faces"]["ceiling"] == table["identity/faces"]["mean"], complaint
    assert "of other people" not in printed
    picture(folder / "elsewhere" / "p1.png", 500)
    for person in (0, 2):
        shutil.copytree(folder / "photos" / f"p{person}", folder / "elsewhere" / f"p{person}")
    _, printed, complaint = run(judges["a"], judges["faces"], "photos=elsewhere", f"anchors.oracle={oracle}")
    assert "the anchor oracle is of other people, too: p1 (" in printed, complaint


def test_a_judge_of_ones_own_as_the_page_shows_it(run, folder, monkeypatch, tmp_path):
    settings, code = (re.search(rf"```{kind}\n(# \S+\n.*?)```", PAGE, re.DOTALL)[1] for kind in ("yaml", "python"))
    assert sum(bool(line.strip()) for line in code.splitlines()) <= 15
    for text, place in ((settings, tmp_path / "conf" / "judges"), (code, tmp_path / "code")):
        place.mkdir(parents=True, exist_ok=True)
        (place / Path(text.split()[1]).name).write_text(text)
    monkeypatch.setattr(src.metrics, "__path__", [*src.metrics.__path__, str(tmp_path / "code")])
    status, printed, complaint = run("judges=mine", "missing=leave_out")
    assert status == 0, complaint
    rows = read_sheet(written(folder, printed) / "scores.csv")
    assert all(0 < float(row["image/mean_colour"]) <= 1 for row in rows)


def test_a_real_recogniser_tells_real_people_apart(run, folder):
    """scikit-image's astronaut and the group of six of insightface, judged against her photo and against his."""
    pytest.importorskip("dlib")
    skimage, insightface = (Path(importlib.util.find_spec(name).origin).parent for name in ("skimage", "insightface"))
    her, group = skimage / "data" / "astronaut.png", insightface / "data" / "images" / "t1.jpg"
    shutil.rmtree(folder / "images")
    shutil.rmtree(folder / "photos")
    for place, file in (("images/0.png", her), ("images/1.jpg", group), ("photos/eileen.png", her)):
        (folder / place).parent.mkdir(exist_ok=True)
        shutil.copy(file, folder / place)
    rows = ["file,person,prompt,seed", "0.png,eileen,a photo of S*,0", "1.jpg,eileen,S* among friends,0"]
    (folder / "images" / "manifest.csv").write_text("\n".join(rows) + "\n")
    _, printed, complaint = run("judges=dlib")
    same, other = read_sheet(written(folder, printed) / "scores.csv")
    assert float(same["identity/dlib"]) == 1 and float(other["identity/dlib"]) < 0.4, complaint
    assert (same["faces/dlib"], other["faces/dlib"]) == ("1", "6")
    (row,) = [row for row in read_sheet(written(folder, printed) / "table.csv") if row["judge"] == "identity/dlib"]
    assert (float(row["no_face"]), float(row["several"])) == (0, 0.5)


def test_the_papers_judges_are_listed_one_by_one(run):
    status, printed, _ = run("judges=paper", words=())
    assert status == 0
    for name in ("rn50", "rn101", "rn50x4", "rn50x16", "rn50x64", "vit_b_32", "vit_b_16", "vit_l_14", "vit_l_14_336"):
        assert re.search(rf"^text +{name} +(available|to be fetched|wants a file) ", printed, re.MULTILINE)
    for name in ("vgg_face", "facenet", "facenet512", "openface", "deepface", "arcface", "sface", "adaface"):
        assert re.search(rf"^identity +{name} +(available|to be fetched|wants a file) ", printed, re.MULTILINE)


def test_the_papers_recognisers_from_files_are_listed_one_by_one(run):
    status, printed, _ = run("judges=paper_onnx", words=())
    assert status == 0
    for name in ("vgg_face", "facenet", "facenet512", "arcface", "sface", "adaface"):
        assert re.search(rf"^identity +{name} +(available|wants a file)", printed, re.MULTILINE)
    for name in ("openface", "deepface"):
        assert re.search(rf"^identity +{name} +not comparable", printed, re.MULTILINE)


def test_offline_the_weights_that_would_be_fetched_are_wanting(run, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    status, printed, complaint = run("judges=modern")
    assert status == 1 and "siglip2_so400m" in complaint and "missing=leave_out" in complaint
    assert re.search(r"^text +dfn_h +wants a file", printed, re.MULTILINE)


def test_a_judge_that_wants_a_file_stops_everything_unless_it_may_be_left_out(run, folder, judges):
    wanting = {"identity": {"faces": judges["faces"]["identity"]["faces"] | {"model": "absent.onnx"}}}
    status, _, complaint = run(judges["a"], wanting)
    assert status == 1 and "absent.onnx" in complaint and "missing=leave_out" in complaint
    assert not (folder / "runs").exists()
    status, printed, _ = run(judges["a"], wanting, "missing=leave_out")
    assert status == 0 and "faces: wants a file, no number" in printed


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["images=moon"], ["moon is no folder"]),
        (["judges=moon"], ["moon", "paper", "tiny"]),
        (["faces.none=dropped"], ["faces.none (dropped)"]),
        (["missing=shrug"], ["missing (shrug)", "leave_out"]),
        (["batch=0"], ["batch (0)"]),
        (["anchors.oracle=moon"], ["moon"]),
        (["manifest=moon.csv"], ["moon.csv"]),
        (["real=photos/none"], ["photos/none"]),
        (["logger.mode=moon"], ["logger.mode (moon)"]),
    ],
)
def test_bad_input_ends_with_one_sentence(run, folder, judges, overrides, words):
    status, _, complaint = run(judges["a"], *overrides)
    assert status == 1 and complaint.startswith("error: ")
    assert all(word in complaint for word in words), complaint
    assert not list((folder / "runs").rglob("summary.json"))


def test_damaged_images_are_all_named_and_nothing_final_is_written(run, folder, judges):
    for name in ("0-0-0.png", "2-1-1.png"):
        (folder / "images" / name).write_bytes((folder / "images" / name).read_bytes()[:300])
    (folder / "images" / "1-0-0.png").write_text("words")
    status, _, complaint = run(judges["a"])
    assert status == 1 and "1-0-0.png" in complaint
    picture(folder / "images" / "1-0-0.png", 5)
    status, _, complaint = run(judges["a"])
    assert status == 1 and "0-0-0.png" in complaint and "2-1-1.png" in complaint
    assert not list((folder / "runs").rglob("scores.csv"))


def test_no_judge_at_all_is_refused(run):
    status, _, complaint = run()
    assert status == 1 and "there is no judge" in complaint


def test_the_benchmark_prints_its_ratio(folder, judges, monkeypatch, capsys):
    words = ["bench", "judge", "images=20", "size=32", *chosen(folder, judges["a"], judges["faces"])]
    monkeypatch.setattr(sys, "argv", words)
    monkeypatch.chdir(folder)
    bench.main()
    printed = capsys.readouterr().out
    assert float(re.search(r"ratio to the bare forward passes: (\S+)", printed)[1]) > 1
    assert not (folder / "runs").exists()


def test_an_unknown_benchmark_is_refused(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["bench", "moon"])
    with pytest.raises(SystemExit, match="name a benchmark"):
        bench.main()
