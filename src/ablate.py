"""One ablation against the full method, on the same noise, by all judges: `python -m src.ablate ablation=no_fusion`."""

from omegaconf import DictConfig

from src.harness.assembly import changed
from src.harness.build import plain
from src.harness.command import DRAWN, command
from src.harness.deciding import PAGE, SIDE, code_of, portable
from src.harness.device import described
from src.harness.judges import towers
from src.harness.parallel.worker import crew_for
from src.harness.preflight.people import ready
from src.harness.sides import Sides
from src.reports.formats import to_text, write_table
from src.reports.grids import side_grid
from src.runs.digests import digest
from src.runs.run import open_run
from src.runs.store import save_png
from src.statistics.ablation_table import ablation_table


@command("ablate", keeps=DRAWN)
def main(cfg: DictConfig) -> None:
    if ready(cfg, "ablate") is None:
        return
    crew = crew_for(cfg)
    sides = Sides(cfg, crew)
    ablated = changed(cfg, cfg.ablation.change)
    if plain(ablated) == plain(cfg) and not cfg.ablation.fresh_noise:
        raise ValueError(
            f"ablation={cfg.ablation.name} changes nothing: {cfg.ablation.change} is set already; "
            "give the full method another value on the command line"
        )
    sides.check(cfg, ablated)
    study = sides.study()
    print(f"{cfg.world.notice}\n{cfg.ablation.name}: {cfg.ablation.question}", flush=True)
    sides.expect(("full", cfg), (cfg.ablation.name, ablated))
    with crew:
        full_run, full = sides.method_side(study, "full", cfg)
        other_run, other = sides.method_side(study, cfg.ablation.name, ablated, fresh_noise=cfg.ablation.fresh_noise)
        anchors = sides.anchors(study)
    table = ablation_table(
        full,
        other,
        {name: rows for name, (_, rows) in anchors.items()},
        selecting=plain(cfg.judges.selecting),
        towers=towers(cfg),
    )
    runs = {"full": full_run, cfg.ablation.name: other_run}
    shown = {**runs, **{name: anchors[name][0] for name in ("generic", "oracle_vae") if name in anchors}}
    config = {name: run.folder.name for name, run in {**runs, **{k: r for k, (r, _) in anchors.items()}}.items()}
    shown_as = {"sides": config, "towers": towers(cfg)}
    key = digest(shown_as, weights=sides.weights, code=code_of((*SIDE, *PAGE)))
    whole = {**config, "settings": portable(plain(cfg))}
    with open_run(cfg.runs, "ablate", whole, key, device=described(sides.device)) as run:
        if not run.complete:
            write_table(run.folder, "table", table)
            save_png(run.path("grid.png"), side_grid(shown), {"sides": config})
            run.finish({"people": len(study.people), "sides": config})
    print(to_text(table))
    counts = ", ".join(f"{name} {side.summary().get('unet_evaluations', '?')}" for name, side in runs.items())
    print(f"U-Net evaluations an image: {counts}")
    print(f"table: {run.made('table.md')}\ngrid:  {run.made('grid.png')} (look at it)", flush=True)


if __name__ == "__main__":
    main()
