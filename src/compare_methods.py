"""Every way of learning a person under every way of drawing: `python -m src.compare_methods`."""

from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from src.files.whole import write_atomic
from src.harness.build import count, plain
from src.harness.command import DRAWN, command
from src.harness.compose import compose
from src.harness.deciding import PAGE, SIDE, code_of, portable
from src.harness.device import begun, described, handed_on
from src.harness.preflight.needs import check, needs_of, show
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
    "learning, its peak of memory and the size on disk: mean over people; an image: median, as it was drawn here",
]


@command("compare_methods", keeps=DRAWN)
def main(cfg: DictConfig) -> None:
    device, configs = begun(cfg), crossed(cfg)
    for config in configs.values():
        (show if cfg.preflight_only else check)(config, needs_of(config, "ablate"))
    if cfg.preflight_only:
        return
    sides = Sides(next(iter(configs.values())))
    sides.check(*configs.values())
    anchors = {name: rows for name, (_, rows) in sides.anchors(sides.study()).items()}
    rows: list[dict[str, Any]] = []
    runs: dict[str, Run] = {}
    for (method, sampler), config in configs.items():
        run, scores = sides.method_side(sides.study(), "methods", config)
        found = level(scores, anchors)
        means = {"text": found["text"], "identity": found["identity"]}
        about = {**found, "harmonic mean": harmonic_mean(*means.values()), **sides.costs(run, config)}
        rows.append({"method": method, "sampler": sampler, **about})
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
    methods, samplers = plain(cfg.methods), plain(cfg.samplers)
    for name, group in (("methods", methods), ("samplers", samplers)):
        if not group:
            raise ValueError(f"{name} ({group}) must name at least one, with its overrides of `python -m src.ablate`")
    sizes = [f"{name}={count(cfg, name)}" for name in ("people", "prompts", "seeds")]
    common = [*(plain(cfg.overrides) or []), *sizes, f"runs={cfg.runs}", "logger=disabled", *handed_on(cfg)]
    return {
        (method, sampler): compose("ablate", [*common, *drawing, *learning])
        for method, learning in methods.items()
        for sampler, drawing in samplers.items()
    }


if __name__ == "__main__":
    main()
