"""Every way of learning a person under every way of drawing: `python -m src.compare_methods`."""

from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from src.files.whole import write_atomic
from src.harness.build import count, plain
from src.harness.command import DRAWN, command
from src.harness.compose import compose
from src.harness.deciding import PAGE, SIDE, code_of, portable
from src.harness.device import STUDY, described, handed_on
from src.harness.parallel.worker import crew_for
from src.harness.preflight.people import ready
from src.harness.sides import Sides
from src.reports import figures
from src.reports.formats import to_text, write_table
from src.reports.grids import side_grid
from src.runs.digests import digest
from src.runs.run import Run, open_run
from src.runs.store import save_png
from src.statistics.levels import level
from src.statistics.scale import harmonic_mean
from src.statistics.table import Table

NOTES = [
    "text and identity normalised between floor and ceiling, mean over judges; 95 %: t-interval over people",
    "learning, its peak of memory and the size on disk: mean over people; once: what all people share, such as images "
    "of their class; an image: median, as it was drawn here",
]


@command("compare_methods", keeps=DRAWN)
def main(cfg: DictConfig) -> None:
    configs = crossed(cfg)
    device = ready(cfg, "ablate", sides=[(method, config) for (method, _), config in configs.items()])
    if device is None:
        return
    first = next(iter(configs.values()))
    crew = crew_for(first)
    sides = Sides(first, crew)
    sides.check(*configs.values())
    sides.expect(*(("methods", config) for config in configs.values()))
    rows: list[dict[str, Any]] = []
    runs: dict[str, Run] = {}
    with crew:
        anchors = {name: rows for name, (_, rows) in sides.anchors(sides.study()).items()}
        for (method, sampler), config in configs.items():
            run, scores = sides.method_side(sides.study(), "methods", config)
            found = level(scores, anchors)
            about = {**found, "harmonic mean": harmonic_mean(found["text"], found["identity"])}
            rows.append({"method": method, "sampler": sampler, **about, **sides.costs(run, config)})
            runs[f"{method}, {sampler}"] = run
    settings = {"settings": portable(plain(cfg)), "sides": {name: run.folder.name for name, run in runs.items()}}
    key = digest({"rows": rows, **settings}, weights=sides.weights, code=code_of((*SIDE, *PAGE)))
    with open_run(cfg.runs, "methods_compared", settings, key, device=described(device)) as run:
        if not run.complete:
            write_table(run.folder, "table", Table(rows, NOTES))
            points = figures.scatter(rows, x="identity", y="text", by="method", marked="sampler")
            write_atomic(run.path("scatter.png"), points)
            save_png(run.path("grid.png"), side_grid(runs, people=cfg.shown), settings["sides"])
            run.finish({"people": len(sides.people)})
    print(to_text(Table(rows, NOTES)))
    for name in ("table.md", "scatter.png", "grid.png"):
        print(f"{name:<12}{Path(run.made(name))}", flush=True)


def crossed(cfg: DictConfig) -> dict[tuple[str, str], DictConfig]:
    """(method, sampler) -> what `python -m src.ablate` would hold with the overrides of both.

    ValueError where there is no method or no sampler.
    """
    methods, samplers = (
        {name: own for name, own in plain(group).items() if own is not None} for group in (cfg.methods, cfg.samplers)
    )
    for name, group in (("methods", methods), ("samplers", samplers)):
        if not group:
            raise ValueError(f"{name} ({group}) must name at least one, with its overrides of `python -m src.ablate`")
    sizes = [f"{name}={count(cfg, name)}" for name in ("people", "prompts", "seeds")]
    common = [*(plain(cfg.overrides) or []), *sizes, f"runs={cfg.runs}", "logger=disabled", *handed_on(cfg, STUDY)]
    return {
        (method, sampler): compose("ablate", [*common, *drawing, *learning])
        for method, learning in methods.items()
        for sampler, drawing in samplers.items()
    }


if __name__ == "__main__":
    main()
