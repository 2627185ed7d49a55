"""What regularising S* costs (Zhou et al. 2023, figure 2): `python -m src.regularisation`."""

import math
from typing import Any

from omegaconf import DictConfig

from src.files.whole import write_atomic
from src.harness.build import count, plain
from src.harness.command import DRAWN, command
from src.harness.compose import compose
from src.harness.composed import Composed
from src.harness.deciding import PAGE, SIDE, TRAINING, code_of
from src.harness.device import begun, described, handed_on
from src.harness.needs import show
from src.harness.study import Rows
from src.reports import figures
from src.reports.formats import to_csv, to_markdown, to_text
from src.runs.digests import digest
from src.runs.run import Run, open_run
from src.statistics.levels import level
from src.statistics.table import Table
from src.train import trained_promptnet

ORDERS = ["+experiment=tiny_pretrain"]  # what is continued


@command("regularisation", keeps=DRAWN)
def main(cfg: DictConfig) -> None:
    device = begun(cfg)
    check_penalties(plain(cfg.penalties))
    if cfg.preflight_only:
        return show(compose("train", [*ORDERS, f"runs={cfg.runs}"]))
    rows: list[dict[str, Any]] = []
    weights: dict[str, str] = {}
    anchors: dict[str, Rows] = {}  # of the first side, for all: one scale
    for penalty in plain(cfg.penalties):
        promptnet = regularised(cfg, penalty)[-1].path("promptnet")
        for name, overrides in plain(cfg.samplers).items():
            side, own = scored(cfg, anchors, f"promptnet.folder={promptnet}", *overrides)
            rows.append({"sampler": name, "lambda": penalty, **side})
            weights |= {f"{name} {penalty}": own}
    table = Table(rows, ["normalised between floor and ceiling, mean over judges; 95 %: t-interval over people"])
    key = digest({"rows": rows}, weights=weights, code=code_of((*SIDE, *TRAINING, *PAGE)))
    with open_run(cfg.runs, "regularisation", plain(cfg), key, device=described(device)) as run:
        if not run.complete:
            write_atomic(run.path("table.csv"), to_csv(table).encode())
            write_atomic(run.path("table.md"), to_markdown(table).encode())
            write_atomic(run.path("curves.png"), figures.curves(rows, x="lambda", y=("text", "identity"), by="sampler"))
            run.finish({"penalties": plain(cfg.penalties)})
    print(to_text(table))
    print(f"table:  {run.made('table.md')}\ncurves: {run.made('curves.png')} (look at them)", flush=True)


def check_penalties(penalties: Any) -> None:
    """Before anything is trained: ValueError if there is none, or one that is no number of 0 or more."""
    listed = isinstance(penalties, list) and len(penalties) > 0
    if not listed or not all(isinstance(each, int | float) and 0 <= each < math.inf for each in penalties):
        raise ValueError(f"penalties ({penalties}) must be a list of one or more lambdas of 0 or more, such as [0,0.1]")


def regularised(cfg: DictConfig, penalty: float) -> tuple[Run, Run]:
    """The run of the early checkpoint that all penalties have in common, and the run that goes on under this one."""
    check_penalties([penalty])
    early = continued(cfg, steps=cfg.early_steps)
    start = ["promptnet=continued", f"promptnet.folder={early.path('promptnet')}"]
    return early, continued(cfg, f"learning.penalty={penalty}", *start, steps=cfg.further_steps)


def continued(cfg: DictConfig, *overrides: str, steps: int) -> Run:
    """The run that trains PromptNet for some steps, from nothing or from where another one ended."""
    changes = [
        f"trainer.steps={steps}",
        f"runs={cfg.runs}",
        "logger=disabled",
        *handed_on(cfg, ("device", "tf32")),
        *overrides,
    ]
    return trained_promptnet(compose("train", [*ORDERS, *changes]))


def scored(cfg: DictConfig, anchors: dict[str, Rows], *overrides: str) -> tuple[dict[str, Any], str]:
    """Text and identity of the pre-trained PromptNet with one sampler, and a digest of its weights.

    anchors: floors and ceilings; if there are none yet, those of this side are put there.
    """
    sizes = [f"{name}={count(cfg, name)}" for name in ("people", "prompts", "seeds")]
    side = compose(
        "ablate", [*plain(cfg.overrides), *sizes, f"runs={cfg.runs}", "logger=disabled", *handed_on(cfg), *overrides]
    )
    composed = Composed(side)
    composed.check(side)
    study = composed.study()
    _, rows = composed.method_side(study, "regularised", side)
    if not anchors:
        anchors |= {name: anchor for name, (_, anchor) in composed.anchors(study).items()}
    return level(rows, anchors), digest({}, weights=composed.weights, code="")


if __name__ == "__main__":
    main()
