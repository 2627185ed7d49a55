"""What regularising S* costs (Zhou et al. 2023, figure 2): `python -m src.regularisation`."""

from collections.abc import Sequence
from typing import Any

from omegaconf import DictConfig

from src.entry import PACKAGE, command, compose, count, plain
from src.preflight import check_needs
from src.results import figures, tables
from src.results.digests import code_digest, digest
from src.results.levels import level
from src.results.runs import Run, open_run
from src.results.store import write_atomic
from src.studies import Composed
from src.train import trained_promptnet


@command("regularisation")
def main(cfg: DictConfig) -> None:
    check_needs(cfg, "ablate")
    check_penalties(plain(cfg.penalties))
    rows: list[dict[str, Any]] = []
    weights: dict[str, str] = {}
    for penalty in plain(cfg.penalties):
        promptnet = regularised(cfg, penalty).path("promptnet")
        for name, overrides in plain(cfg.samplers).items():
            side, own = scored(cfg, f"promptnet.folder={promptnet}", *overrides)
            rows.append({"sampler": name, "lambda": penalty, **side})
            weights |= {f"{name} {penalty}": own}
    table = tables.Table(rows, ["normalised between floor and ceiling, mean over judges; 95 %: t-interval over people"])
    key = digest({"rows": rows}, weights=weights, code=code_digest(PACKAGE))
    with open_run(cfg.runs, "regularisation", plain(cfg), key) as run:
        if not run.complete:
            write_atomic(run.path("table.csv"), tables.to_csv(table).encode())
            write_atomic(run.path("table.md"), tables.to_markdown(table).encode())
            write_atomic(run.path("curves.png"), figures.curves(rows, x="lambda", y=("text", "identity"), by="sampler"))
            run.finish({"penalties": plain(cfg.penalties)})
    print(tables.to_text(table))
    print(f"table:  {run.path('table.md')}\ncurves: {run.path('curves.png')} (look at them)", flush=True)


def check_penalties(penalties: Sequence[float]) -> None:
    """Before anything is trained: ValueError if there is none, or one below 0."""
    if not penalties or min(penalties) < 0:
        raise ValueError(f"penalties ({list(penalties)}) must be one or more lambdas of 0 or more")


def regularised(cfg: DictConfig, penalty: float) -> Run:
    """The run that trains PromptNet under a penalty, from an early checkpoint that all penalties have in common."""
    check_penalties([penalty])
    early = continued(cfg, steps=cfg.early_steps)
    start = ["promptnet=continued", f"promptnet.folder={early.path('promptnet')}"]
    return continued(cfg, f"learning.penalty={penalty}", *start, steps=cfg.further_steps)


def continued(cfg: DictConfig, *overrides: str, steps: int) -> Run:
    """The run that trains PromptNet for some steps, from nothing or from where another one ended."""
    changes = [f"trainer.steps={steps}", f"runs={cfg.runs}", "logger=disabled", *overrides]
    return trained_promptnet(compose("train", ["+experiment=tiny_pretrain", *changes]))


def scored(cfg: DictConfig, *overrides: str) -> tuple[dict[str, Any], str]:
    """Text and identity of the pre-trained PromptNet with one sampler, and a digest of its weights."""
    sizes = [f"{name}={count(cfg, name)}" for name in ("people", "prompts", "seeds")]
    side = compose("ablate", [*plain(cfg.overrides), *sizes, f"runs={cfg.runs}", "logger=disabled", *overrides])
    composed = Composed(side)
    composed.check(side)
    study = composed.study()
    _, rows = composed.method_side(study, "regularised", side)
    anchors = {name: anchor for name, (_, anchor) in composed.anchors(study).items()}
    return level(rows, anchors), digest({}, weights=composed.weights, code="")


if __name__ == "__main__":
    main()
