"""What leaves the machine, what stays, and how a mirrored run comes back as a folder."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from src.files.sheets import read_sheet
from src.runs.remote import local_folder, unpack
from src.runs.sides import read_sides
from src.runs.store import read_settings

ROOT = Path(__file__).parents[2]
# Two small runs with an offline mirror, in a process of its own; argv: folder, then options of the logger to switch on.
SCRIPT = """
import sys
from pathlib import Path
from made_runs import make_runs
root, *on = sys.argv[1:]
for person in (1, 2):
    Path(root, "people").mkdir(exist_ok=True)
    Path(root, "people", f"{person}.safetensors").write_text("weights")
logger = {"mode": "offline", "project": "p", **dict.fromkeys(on, True)}
make_runs(Path(root, "runs"), ("full", "copy"), people=(1, 2), seeds=1, logger=logger, learned=Path(root, "people"))
"""


def mirrored(root: Path, *on: str) -> dict[str, Path]:
    env = {name: value for name, value in os.environ.items() if not name.startswith("WANDB")}
    env |= {"HOME": str(root), "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"}
    subprocess.run([sys.executable, "-c", SCRIPT, str(root), *on], cwd=root, env=env, check=True, capture_output=True)
    return {name: next((root / "runs" / name).iterdir()) for name in ("full", "copy")}


def records(run: Path, *words: str) -> str:
    """What wandb's own reader says of the run's mirror."""
    (mirror,) = run.glob("wandb/offline-run-*")
    program = str(Path(sys.executable).with_name("wandb"))
    done = subprocess.run([program, "leet", "inspect", "--json", *words, str(mirror)], capture_output=True, check=True)
    return done.stdout.decode()


def artifacts(run: Path) -> list[dict]:
    lines = [json.loads(line) for line in records(run).splitlines()]
    return [line["artifact"] for line in lines if line["type"] == "artifact"]


def table_files(run: Path, folder: Path) -> Path:
    """The files of the mirrored table, as W&B hands them out."""
    (table,) = [artifact for artifact in artifacts(run) if artifact["type"] == "run_table"]
    for content in table["manifest"]["contents"]:
        (folder / content["path"]).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(content["local_path"], folder / content["path"])
    return folder


@pytest.fixture(scope="module")
def private(tmp_path_factory):
    return mirrored(tmp_path_factory.mktemp("private"))


@pytest.fixture(scope="module")
def public(tmp_path_factory):
    return mirrored(tmp_path_factory.mktemp("public"), "log_photos", "log_people")


def pictures(run: Path, folder: Path) -> list[Path]:
    return sorted(table_files(run, folder).rglob("*.png"))


def test_config_summary_and_table_are_there_for_wandbs_reader(private):
    found = json.loads(records(private["full"], "--summary"))
    assert found["config"]["method"] == {"side": "full"}
    assert found["tags"] == ["full", "made", "method"]
    assert found["summary"]["images"] == 8
    assert found["summary"]["scores"]["nrows"] == 8
    assert found["summary"]["pictures"]["count"] == 8
    assert found["summary"]["text/a"] == pytest.approx(0.27, abs=0.05)


def test_group_and_job_type_are_there_for_a_dashboard(private):
    (run,) = [json.loads(line)["run"] for line in records(private["copy"]).splitlines() if '"type":"run"' in line]
    assert (run["run_group"], run["job_type"], run["tags"]) == ("made", "copy", ["copy", "made", "anchor"])


def test_photos_stay_at_home_even_as_the_floor_that_copies_them(private, tmp_path):
    photo = Image.open(private["copy"] / "photos" / "1.png").tobytes()
    assert len(pictures(private["full"], tmp_path / "full")) == 8
    assert not pictures(private["copy"], tmp_path / "copy")
    sent = [
        *tmp_path.rglob("*.png"),
        *private["full"].rglob("wandb/**/*.png"),
        *private["copy"].rglob("wandb/**/*.png"),
    ]
    assert all(Image.open(path).convert("RGB").tobytes() != photo for path in sent)


def test_photos_are_sent_where_that_is_wished(public, tmp_path):
    assert len(pictures(public["full"], tmp_path / "full")) == 8 + 2
    assert pictures(public["copy"], tmp_path / "copy")


def test_learned_people_are_artifacts_on_request_alone(private, public):
    def names(run):
        return [a["name"] for a in artifacts(run) if a["type"] == "model"]

    assert names(private["full"]) == []
    assert names(public["full"]) == [f"full-{public['full'].name}-{person}" for person in (1, 2)]


def test_a_mirrored_run_comes_back_as_a_folder_that_can_be_compared(public, private, tmp_path):
    original = public["full"]
    said = json.loads(records(original, "--summary"))
    about = {"kind": "full", "digest": original.name, "started": "then", "tags": said["tags"]}
    about |= {"config": said["config"], "summary": said["summary"]}
    folder = tmp_path / "full" / "back"
    unpack(folder, table_files(original, tmp_path / "files"), about)
    (side,) = read_sides([folder])
    wanted = {cell: float(row["text/a"]) for cell, row in read_sides([original])[0].cells().items()}
    assert {cell: float(row["text/a"]) for cell, row in side.cells().items()} == pytest.approx(wanted)
    for row in side.rows:
        assert read_settings(folder / row["file"]) == read_settings(original / row["file"])
        assert (folder / row["photo"]).is_file()
    assert side.summary["images"] == 8

    unpack(tmp_path / "bare", table_files(private["copy"], tmp_path / "none"), {**about, "kind": "copy"})
    assert {row["file"] for row in read_sheet(tmp_path / "bare" / "scores.csv")} == {""}
    assert read_sides([original, tmp_path / "bare"])[1].role == "floor"


def test_a_table_cannot_write_outside_its_folder(public, tmp_path):
    files = table_files(public["full"], tmp_path / "files")
    table = files / "scores.table.json"
    table.write_text(table.read_text().replace('"images/1-00-0.png"', '"../../escaped.png"'))
    about = {"kind": "full", "digest": "d", "started": "", "tags": [], "config": {}, "summary": {}}
    with pytest.raises(ValueError, match=r"outside its folder: \.\./\.\./escaped\.png"):
        unpack(tmp_path / "a" / "b", files, about)
    assert not (tmp_path / "escaped.png").exists()


def test_a_table_cannot_take_pictures_from_elsewhere(public, tmp_path):
    files = table_files(public["full"], tmp_path / "files")
    table = files / "scores.table.json"
    (tmp_path / "secret.png").write_bytes(b"")
    content = json.loads(table.read_text())
    content["data"][0][content["columns"].index("picture")]["path"] = "../secret.png"
    table.write_text(json.dumps(content))
    about = {"kind": "full", "digest": "d", "started": "", "tags": [], "config": {}, "summary": {}}
    with pytest.raises(ValueError, match=r"outside its folder: \.\./secret\.png"):
        unpack(tmp_path / "a" / "b", files, about)


def test_a_mistyped_folder_is_not_asked_of_wandb(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    for word in ("runs/full/0123", "/nowhere/at/all", "./x/y", "x/y"):
        with pytest.raises(FileNotFoundError, match="no folder of a run"):
            local_folder(word, tmp_path / "cache")
