"""One setting at several values, text and identity as curves: `python -m src.sweep sweep=gamma`."""

from collections.abc import Iterator
from typing import Any

from omegaconf import DictConfig

from src.files.rows import Rows
from src.files.whole import write_atomic
from src.harness.assembly import changed, longest_first
from src.harness.build import plain
from src.harness.command import DRAWN, command
from src.harness.deciding import PAGE, SIDE, code_of, deciding_of_study
from src.harness.device import described
from src.harness.parallel.worker import crew_for
from src.harness.preflight.people import ready
from src.harness.sides import Sides
from src.reports import figures
from src.reports.formats import to_text, write_table
from src.reports.grids import side_grid
from src.runs.digests import digest
from src.runs.run import Run, open_run
from src.runs.store import save_png
from src.statistics.levels import NOTE, level
from src.statistics.table import Table


@command("sweep", keeps=DRAWN)
def main(cfg: DictConfig) -> None:
    if ready(cfg, "ablate") is None:
        return
    crew = crew_for(cfg)
    sides = Sides(cfg, crew)
    places = {f"{line} {figures.tick(value)}": (line, value, place) for line, value, place in places_of(cfg)}
    order = longest_first({name: place for name, (_, _, place) in places.items()})
    sides.check(*order.values())
    sides.expect(*(("sweep", place) for place in order.values()))
    print(f"{cfg.world.notice}\n{cfg.sweep.question}", flush=True)
    made: dict[str, tuple[Run, Rows]] = {}
    with crew:
        anchors = {name: rows for name, (_, rows) in sides.anchors(sides.study()).items()}
        for name, place in order.items():
            own = sides if place.world == cfg.world else Sides(place, crew)  # another world shows other photos
            made[name] = own.method_side(own.study(), "sweep", place)
    rows: list[dict[str, Any]] = []
    for name, (line, value, _) in places.items():
        run, found = made[name]
        scores = {**level(found, anchors), "unet_evaluations": run.summary().get("unet_evaluations")}
        rows.append({"line": line, cfg.sweep.setting: value, **scores})
    runs = {name: made[name][0] for name in places}
    settings = {
        "settings": deciding_of_study(plain(cfg)),
        "sides": {name: run.folder.name for name, run in runs.items()},
    }
    key = digest(settings, weights=sides.weights, code=code_of((*SIDE, *PAGE)))
    table = Table(rows, [NOTE])
    with open_run(cfg.runs, "sweeps", settings, key, device=described(sides.device)) as run:
        if not run.complete:
            write_table(run.folder, "table", table)
            curves = figures.curves(rows, x=cfg.sweep.setting, y=("text", "identity"), by="line")
            write_atomic(run.path("curves.png"), curves)
            save_png(run.path("grid.png"), side_grid(runs), settings["sides"])
            run.finish({"people": len(sides.people)})
    print(to_text(table))
    for name in ("table.md", "curves.png", "grid.png"):
        print(f"{name:<11}{run.made(name)}", flush=True)


def places_of(cfg: DictConfig) -> Iterator[tuple[str, Any, DictConfig]]:
    """(line, value, configuration) for each value on each line. ValueError if the sweep has no value."""
    sweep = plain(cfg.sweep)
    if not isinstance(sweep["values"], list) or not sweep["values"] or not sweep["lines"]:
        raise ValueError(f"sweep.values ({sweep['values']}) must be a list, and it and sweep.lines hold something")
    for line, change in sweep["lines"].items():
        for value in sweep["values"]:
            yield line, value, changed(cfg, {**change, sweep["setting"]: value})


if __name__ == "__main__":
    main()
