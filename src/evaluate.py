"""Judge a folder of images, whoever made them: `python -m src.evaluate images=FOLDER photos=FOLDER judges=paper`."""

from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from src.files.rows import KINDS, Rows
from src.harness.build import count, plain
from src.harness.command import command
from src.harness.deciding import SCORE, STATISTIC, code_of, file_digests, portable
from src.harness.device import begun, described, memory_for
from src.harness.judges import Panel, progress, towers
from src.metrics.columns import FaceRule, joined
from src.metrics.evaluation import Evaluation, evaluation_of
from src.metrics.scene import Scene, foreign_placeholders, image_files, read_scene
from src.metrics.walk import embed_scene
from src.reports.formats import to_text, write_table
from src.runs.digests import digest
from src.runs.links import link_folders, through_links
from src.runs.listing import check_listing
from src.runs.people import other_people
from src.runs.run import Run, open_run
from src.runs.store import read_scores, write_csv
from src.statistics.means import column_means
from src.statistics.score_table import score_table
from src.statistics.table import Table, sizes


@command("evaluate", keeps="what judges have seen is kept in {runs}")
def main(cfg: DictConfig) -> None:
    device = begun(cfg)
    panel = Panel(cfg, device)
    print(panel.text(), flush=True)
    if cfg.preflight_only:
        return panel.check(cfg.missing)
    if cfg.images is None:
        return print("no images were given: images=FOLDER photos=FOLDER has them judged")
    panel.check(cfg.missing)
    rule, batch, given = FaceRule(**plain(cfg.faces)), count(cfg, "batch"), given_anchors(cfg)
    anchors = {name: rows for name, (_, rows) in given.items()}
    photos, manifest = (Path(cfg[name]) if cfg[name] else None for name in ("photos", "manifest"))
    scene = read_scene(Path(cfg.images), photos, manifest, need_photos=panel.needs_photos())
    real = image_files(Path(cfg.real)) if cfg.real else []
    with memory_for("judging", "set a lower batch, or choose smaller judges", device), progress() as show:
        how: dict[str, Any] = {"kept": panel.kept(Path(cfg.runs)), "batch_size": batch, "on_progress": show}
        embedded = embed_scene(scene, panel.here, generic=cfg.generic, real=real, **how)
        judged = evaluation_of(embedded, rule)
    config = {
        "judges": portable(plain(cfg.judges)),
        **{name: plain(cfg[name]) for name in ("system", "faces", "generic")},
    }
    config |= {name: str(Path(cfg[name]).resolve()) if cfg[name] else None for name in ("images", "photos")}
    inputs: dict[str, Any] = {"rows": [*scene.rows], "anchors": anchors, "listing": panel.listing}
    inputs |= {"towers": towers(cfg), **embedded.contents(), **({"tf32": True} if cfg.tf32 else {})}
    weights = file_digests([plain(cfg.judges.get(kind)) for kind in KINDS])
    key = digest(config | inputs, weights=weights, code=code_of((*SCORE, *STATISTIC, "reports/formats.py")))
    about = {"logger": plain(cfg.logger), "tags": ["evaluate"], "device": described(device)}
    with open_run(cfg.runs, cfg.system, config, key, **about) as run:
        rows = joined(linked(run, scene, Path(cfg.images), photos), judged.columns)
        table = score_table(rows, judged.anchors | anchors, marks=dict.fromkeys(towers(cfg), " †"))
        table.notes.extend([f"rule: {rule}", *panel.notes(), *judged.notes])
        table.notes.extend([*foreign_placeholders(scene.rows), *other_people((run.folder, rows), given)])
        if not run.complete:
            write(run, rows, judged, {"table": table, "sets": Table(judged.sets), "judges": Table(panel.listing)})
    print(to_text(table))
    print(f"scores: {run.made('scores.csv')}\ntable:  {run.made('table.md')}", flush=True)


def given_anchors(cfg: DictConfig) -> dict[str, tuple[Path, Rows]]:
    """Folder and rows of the runs that are to be floors and ceilings. FileNotFoundError for a folder that is no judged
    run, ValueError for a damaged one."""
    folders = {name: Path(folder) for name, folder in plain(cfg.anchors).items() if folder}
    for folder in folders.values():
        check_listing(folder, ("scores.csv",))
    return {name: (folder, list(read_scores(folder / "scores.csv"))) for name, folder in folders.items()}


def linked(run: Run, scene: Scene, images: Path, photos: Path | None) -> Rows:
    """The rows with paths relative to the run's folder, in which links lead to the folders of images and of photos."""
    if not run.complete:
        link_folders(run.folder, images, photos)
    files = [through_links(path, images, photos) for path in scene.images]
    inputs = [through_links(path, images, photos) for path in scene.photos] or [""] * len(files)
    return [{**row, "file": f, "photo": p} for row, f, p in zip(scene.rows, files, inputs, strict=True)]


def write(run: Run, rows: Rows, judged: Evaluation, tables: dict[str, Table]) -> None:
    """Scores, anchors and tables; the summary last."""
    run.write_scores(rows)
    anchors = [{"anchor": name, **row} for name, side in judged.anchors.items() for row in side]
    write_csv(run.path("anchors.csv"), anchors)
    for name, table in tables.items():
        write_table(run.folder, name, table)
    sets = {f"{row['measure']}/{row['features']}": row["value"] for row in judged.sets}
    run.finish({"images": len(rows), **column_means(rows), **sets, **sizes(rows)})


if __name__ == "__main__":
    main()
