"""The comparison as a dashboard on Weights & Biases: `python -m src.dashboard project=NAME entity=WHO`."""

from pathlib import Path

from omegaconf import DictConfig

from src.harness.build import plain
from src.harness.command import command
from src.reports.dashboards import dashboard, described, mirrored_scores, send
from src.runs.mirror import MODES
from src.runs.store import write_json


@command("dashboard")
def main(cfg: DictConfig) -> None:
    if cfg.mode not in MODES[:2]:
        raise ValueError(f"mode ({cfg.mode}) must be one of {', '.join(MODES[:2])}")
    if cfg.mode == "online" and not cfg.entity:
        raise ValueError("entity is not given: write entity=NAME, the account or team that the project belongs to")
    settings = plain(cfg)
    workspace = dashboard(
        entity=cfg.entity or "entity",
        project=cfg.project,
        name=cfg.name,
        scores=settings["scores"] or mirrored_scores(Path(cfg.runs)),
        group=cfg.group,
        tags=settings["tags"],
    )
    target = Path(cfg.runs) / "dashboard" / f"{cfg.project}.json"
    write_json(target, described(workspace))
    for section in workspace.sections:
        print(f"{section.name}: {len(section.panels)} panels")
    print(f"written: {target}")
    if cfg.mode == "online":
        print(f"created: {send(workspace)}", flush=True)
    else:
        print("nothing was sent; mode=online entity=NAME creates it, after `wandb login`", flush=True)


if __name__ == "__main__":
    main()
