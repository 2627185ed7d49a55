"""What regularising S* costs (Zhou et al. 2023, figure 2): `python -m src.regularisation`."""

from typing import Any

from omegaconf import DictConfig

from src.files.rows import Rows
from src.files.whole import write_atomic
from src.harness.build import count, plain
from src.harness.command import DRAWN, command
from src.harness.compose import compose
from src.harness.deciding import PAGE, SIDE, TRAINING, code_of
from src.harness.device import STUDY, begun, described, handed_on
from src.harness.parallel.worker import crew_for
from src.harness.preflight.training import check_training
from src.harness.pretraining import ORDERS, check_penalties, regularised
from src.harness.sides import Sides
from src.reports import figures
from src.reports.formats import to_text, write_table
from src.runs.digests import digest
from src.runs.run import open_run
from src.statistics.levels import NOTE, level
from src.statistics.table import Table


@command("regularisation", keeps=DRAWN)
def main(cfg: DictConfig) -> None:
    device = begun(cfg)
    check_penalties(plain(cfg.penalties))
    if cfg.preflight_only:
        return check_training(compose("train", [*ORDERS, f"runs={cfg.runs}"]))
    rows: list[dict[str, Any]] = []
    weights: dict[str, str] = {}
    anchors: dict[str, Rows] = {}  # of the first side, for all: one scale
    with crew_for(side(cfg)) as crew:
        for penalty in plain(cfg.penalties):
            promptnet = regularised(cfg, penalty)[-1].path("promptnet")
            for name, overrides in plain(cfg.samplers).items():
                config = side(cfg, f"promptnet.folder={promptnet}", *overrides)
                levels, digest_of_weights = scored(Sides(config, crew), anchors)
                rows.append({"sampler": name, "lambda": penalty, **levels})
                weights |= {f"{name} {penalty}": digest_of_weights}
    table = Table(rows, [NOTE])
    key = digest({"rows": rows}, weights=weights, code=code_of((*SIDE, *TRAINING, *PAGE)))
    with open_run(cfg.runs, "regularisation", plain(cfg), key, device=described(device)) as run:
        if not run.complete:
            write_table(run.folder, "table", table)
            write_atomic(run.path("curves.png"), figures.curves(rows, x="lambda", y=("text", "identity"), by="sampler"))
            run.finish({"penalties": plain(cfg.penalties)})
    print(to_text(table))
    print(f"table:  {run.made('table.md')}\ncurves: {run.made('curves.png')} (look at them)", flush=True)


def side(cfg: DictConfig, *overrides: str) -> DictConfig:
    """What `python -m src.ablate` would hold with these overrides."""
    sizes = [f"{name}={count(cfg, name)}" for name in ("people", "prompts", "seeds")]
    common = [*plain(cfg.overrides), *sizes, f"runs={cfg.runs}", "logger=disabled", *handed_on(cfg, STUDY)]
    return compose("ablate", [*common, *overrides])


def scored(sides: Sides, anchors: dict[str, Rows]) -> tuple[dict[str, Any], str]:
    """Text and identity of the pre-trained PromptNet with one sampler, and a digest of its weights.

    anchors: floors and ceilings; if there are none yet, those of this side are put there.
    """
    sides.check(sides.cfg)
    study = sides.study()
    _, rows = sides.method_side(study, "regularised", sides.cfg)
    if not anchors:
        anchors |= {name: anchor for name, (_, anchor) in sides.anchors(study).items()}
    return level(rows, anchors), digest({}, weights=sides.weights, code="")


if __name__ == "__main__":
    main()
