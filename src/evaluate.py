"""Judge a folder of images, whoever made them: `python -m src.evaluate images=FOLDER photos=FOLDER judges=paper`."""

from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from src.harness.build import count, plain
from src.harness.command import command
from src.harness.composed import check_logger
from src.harness.deciding import SCORE, STATISTIC, code_of
from src.harness.device import begun, described, memory_for
from src.harness.judges import Panel, Progress, judge_weights, settings_of, towers
from src.metrics.columns import FaceRule, joined
from src.metrics.evaluation import Evaluation, evaluation_of
from src.metrics.scene import Scene, foreign_placeholders, image_files, read_scene
from src.metrics.walk import embed_scene
from src.reports.formats import to_csv, to_markdown, to_text
from src.runs.digests import digest
from src.runs.listing import check_listing
from src.runs.pairing import other_people
from src.runs.run import Run, open_run
from src.runs.store import LINKS, read_scores, write_atomic, write_csv
from src.statistics.differences import column_means
from src.statistics.scores import score_table
from src.statistics.table import Table

Rows = list[dict[str, Any]]


@command("evaluate", keeps="what judges have seen is kept in {runs}")
def main(cfg: DictConfig) -> None:
    check_logger(cfg)
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
    with memory_for("judging", "set a lower batch, or choose smaller judges", device), Progress() as progress:
        how: dict[str, Any] = {"kept": panel.kept(Path(cfg.runs)), "batch_size": batch, "on_progress": progress}
        embedded = embed_scene(scene, panel.here, generic=cfg.generic, real=real, **how)
        judged = evaluation_of(embedded, rule)
    config = {"system": cfg.system, "judges": settings_of(cfg), "faces": plain(cfg.faces), "generic": cfg.generic}
    config |= {name: str(Path(cfg[name]).resolve()) if cfg[name] else None for name in ("images", "photos")}
    inputs: dict[str, Any] = {
        "rows": [*scene.rows],
        "anchors": anchors,
        "listing": panel.listing,
        "towers": towers(cfg),
    }
    inputs |= {"tf32": True} if cfg.tf32 else {}
    inputs |= embedded.contents()
    key = digest(config | inputs, weights=judge_weights(cfg), code=code_of((*SCORE, *STATISTIC, "reports/formats.py")))
    about = {"logger": plain(cfg.logger), "tags": ["evaluate"], "device": described(device)}
    with open_run(cfg.runs, cfg.system, config, key, **about) as run:
        rows = joined(linked(run, scene, photos, Path(cfg.images)), judged.columns)
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


def linked(run: Run, scene: Scene, photos: Path | None, images: Path) -> Rows:
    """The rows with paths relative to the run's folder, in which links lead to the folders of images and of photos."""
    judged, people = LINKS
    links = {judged: images.resolve(), **({people: photos.resolve()} if photos else {})}
    for name, folder in links.items():
        if not run.complete and not run.path(name).is_symlink():
            run.path(name).symlink_to(folder, target_is_directory=True)

    def inside(path: Path) -> str:
        real = path.resolve()
        name, folder = next(pair for pair in reversed(links.items()) if real.is_relative_to(pair[1]))
        return str(Path(name) / real.relative_to(folder))

    files = [{"file": inside(path)} for path in scene.images]
    inputs = [{"photo": inside(path)} for path in scene.photos] or [{"photo": ""}] * len(files)
    return [{**row, **file, **photo} for row, file, photo in zip(scene.rows, files, inputs, strict=True)]


def write(run: Run, rows: Rows, judged: Evaluation, shown: dict[str, Table]) -> None:
    """Scores, anchors and tables; the summary last."""
    run.write_scores(rows)
    anchors = [{"anchor": name, **row} for name, side in judged.anchors.items() for row in side]
    write_csv(run.path("anchors.csv"), anchors)
    for name, table in shown.items():
        write_atomic(run.path(f"{name}.csv"), to_csv(table).encode())
        write_atomic(run.path(f"{name}.md"), to_markdown(table).encode())
    columns = {"people": "person", "prompts": "prompt", "seeds": "seed"}
    sizes = {name: len({str(row[column]) for row in rows}) for name, column in columns.items()}
    sets = {f"{row['measure']}/{row['features']}": row["value"] for row in judged.sets}
    run.finish({"images": len(rows), **column_means(rows), **sets, **sizes})


if __name__ == "__main__":
    main()
