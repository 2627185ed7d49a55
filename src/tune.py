"""Choose settings on validation people, by one rule for every sampler: `python -m src.tune grid=fusion`."""

from collections.abc import Mapping
from itertools import product
from typing import Any

from omegaconf import DictConfig

from src.harness.assembly import changed, longest_first
from src.harness.build import plain
from src.harness.command import DRAWN, command
from src.harness.deciding import SIDE, STATISTIC, code_of, deciding_of_study, portable
from src.harness.device import described
from src.harness.parallel.worker import crew_for
from src.harness.preflight.people import ready
from src.harness.sides import Sides
from src.harness.study import Study
from src.reports.formats import to_text, write_table
from src.runs.digests import digest
from src.runs.run import open_run
from src.statistics.selection import ranking, selection_score
from src.statistics.table import Table


@command("tune", keeps=DRAWN)
def main(cfg: DictConfig) -> None:
    if ready(cfg, "ablate") is None:
        return
    crew = crew_for(cfg)
    sides = Sides(cfg, crew)
    grid: dict[str, list[Any]] = plain(cfg.grid)
    changes = [dict(zip(grid, values, strict=True)) for values in product(*grid.values())]
    variants = longest_first(
        {" ".join(f"{name}={value}" for name, value in change.items()): changed(cfg, change) for change in changes}
    )
    sides.check(*variants.values())
    study = sides.study()
    print(f"{cfg.world.notice}\n{len(variants)} settings on {len(study.people)} validation people", flush=True)
    sides.expect(*(("candidates", variant) for variant in variants.values()))
    with crew:
        rows = ranking(scores(sides, study, variants))
    parts = {
        "study": portable(dict(study.identity)),
        "grid": grid,
        "settings": deciding_of_study(plain(cfg)),
    }
    key = digest({**parts, "rows": rows}, weights=sides.weights, code=code_of((*SIDE, *STATISTIC)))
    with open_run(cfg.runs, "tune", parts, key, device=described(sides.device)) as run:
        sizes = f"{len(study.people)} people, {len(study.prompts)} prompts, {len(study.seeds)} seeds"
        table = Table(rows, [f"selected with {', '.join(cfg.judges.selecting)}; {sizes}"])
        if not run.complete:
            write_table(run.folder, "table", table)
            run.finish({"best": rows[0]})
    print(to_text(table))
    print(f"best: {rows[0]['settings']}\ntable: {run.made('table.md')}", flush=True)


def scores(sides: Sides, study: Study, variants: Mapping[str, DictConfig]) -> dict[str, dict[str, float]]:
    """What every variant reaches with the selecting judges, between the same floors and ceilings."""
    anchors = {name: rows for name, (_, rows) in sides.anchors(study).items()}
    selecting = plain(sides.cfg.judges.selecting)
    found = {}
    for name, cfg in variants.items():
        run, rows = sides.method_side(study, "candidates", cfg)
        found[name] = selection_score(rows, anchors, selecting)
        found[name]["face_found"] = sum(float(row["face_found"]) for row in rows) / len(rows)
        found[name]["unet_evaluations"] = run.summary().get("unet_evaluations", 0)
    return found


if __name__ == "__main__":
    main()
