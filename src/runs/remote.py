"""Runs that lie on W&B's server, as folders like those of local runs."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from src.files.folders import within
from src.files.whole import make_folder, read_json
from src.runs import listing, store
from src.runs.mirror import TABLE, wandb_api

ADDRESS = "https://wandb.ai/"


def local_folder(word: str, cache: Path) -> Path:
    """The folder of a run: `word` itself, or where the W&B run `entity/project/run` (or its address) was put.

    FileNotFoundError for what is neither a folder nor a W&B path.
    """
    if Path(word).exists():
        return Path(word)
    parts = word.removeprefix(ADDRESS).removeprefix("wandb:").replace("/runs/", "/").strip("/").split("/")
    if word.startswith(("/", ".")) or len(parts) != 3 or Path(parts[0]).exists():
        raise FileNotFoundError(f"{word} is no folder of a run, nor a W&B path (entity/project/run)")
    folder = cache / "-".join(parts)
    if not (folder / "summary.json").exists():
        files = folder / "files"
        unpack(folder, files, download("/".join(parts), files))
    return folder


def download(path: str, files: Path) -> dict[str, Any]:
    """Put the table of the W&B run "entity/project/run" with its pictures into `files`; returns what W&B says of it.

    Keys: kind, digest, started, tags, config, summary. OSError if the run is not finished or was not judged, if W&B
    doesn't answer or has no such run, or if nobody is logged in.
    """
    with wandb_api(f"W&B does not give the run {path}") as api:
        run = api.run(path)
        if run.state != "finished":
            raise OSError(f"the W&B run {path} is {run.state}; only finished runs are compared")
        tables = [each for each in run.logged_artifacts() if each.type == "run_table" and f"-{TABLE}:" in each.name]
        if not tables:
            raise OSError(f"the W&B run {path} has no table {TABLE!r}: choose a run that was judged")
        tables[-1].download(root=str(files))
        about = {"kind": run.job_type or "run", "digest": run.name.rpartition("-")[2], "started": run.created_at}
        about |= {"config": dict(run.config), "summary": dict(run.summary_metrics)}
        return {**about, "tags": list(run.tags)}


def unpack(folder: Path, files: Path, about: Mapping[str, Any]) -> None:
    """Lay out a mirrored run as a local one, from its table's files: images, photos if it has them, scores, summary.

    about: "kind", "digest", "started", "tags", "config" and "summary" as W&B keeps them. summary.json is written last.
    """
    content = read_json(files / f"{TABLE}.table.json")
    rows = [_row(folder, files, dict(zip(content["columns"], cells, strict=True))) for cells in content["data"]]
    store.write_csv(folder / "scores.csv", rows)
    store.write_json(folder / "config.json", dict(about["config"]))
    sitting = {name: about.get(name) for name in ("kind", "digest", "started", "tags")}
    (folder / "sittings.jsonl").unlink(missing_ok=True)
    store.append_row(folder / "sittings.jsonl", sitting)
    numbers = {name: value for name, value in about["summary"].items() if isinstance(value, int | float)}
    listing.complete(folder, {name: value for name, value in numbers.items() if not name.startswith("_")})


def _row(folder: Path, files: Path, cells: Mapping[str, Any]) -> dict[str, Any]:
    """A row of scores.csv, its pictures put where it says that they are; blank is what was not uploaded."""
    photo = cells.get("photo")
    row = {name: value for name, value in cells.items() if name not in ("picture", "photo")}
    row["file"] = _placed(files, cells["picture"], folder, str(row["file"]))
    row["photo"] = _placed(files, photo, folder, f"photos/{row['person']}.png")
    return row


def _placed(files: Path, media: Mapping[str, str] | None, folder: Path, name: str) -> str:
    target = folder / name
    if media is None:
        return ""
    for place, named in ((folder, name), (files, media["path"])):
        if not within(place, place / named):
            raise ValueError(f"the W&B run of {folder.name} names a file outside its folder: {named}")
    make_folder(target.parent)
    shutil.copyfile(files / media["path"], target)
    return name
