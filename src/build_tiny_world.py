"""Make the embedded world from nothing, stage by stage, each resumable: `python -m src.build_tiny_world stage=vae`."""

from pathlib import Path

from omegaconf import DictConfig

from src.files.whole import read_json
from src.harness.command import command
from src.harness.device import begun, memory_for
from src.harness.world_stages import STAGES, WEIGHTS
from src.runs.store import write_json
from src.tiny_world.manifest import known_stages, replaced_gates, write_manifest
from src.tiny_world.training import processes

COMMAND = "python -m src.build_tiny_world"
TOO_MUCH = "set a lower batch.base or batch.promptnet, or device=cpu"  # memory


@command("build_tiny_world", keeps="every checkpoint is kept in {cache}")
def main(cfg: DictConfig) -> None:
    cache = Path(cfg.cache).expanduser()
    device = begun(cfg)
    if cfg.preflight_only:  # the stages draw and make all that they need themselves
        return
    if cfg.stage != "all" and cfg.stage not in STAGES:
        raise ValueError(f"stage ({cfg.stage}) is unknown: it is one of {', '.join(STAGES)} or all")
    if processes.launched() and cfg.stage != "base":
        raise ValueError(
            f"stage ({cfg.stage}) is made by one process: start it by {COMMAND}; torchrun serves stage=base"
        )
    for stage in [name for name in STAGES if name not in ("unpack", "look")] if cfg.stage == "all" else [cfg.stage]:
        with memory_for(f"stage {stage}", TOO_MUCH, device):
            made = STAGES[stage](cfg, cache, device)
        if processes.rank():  # the first one writes
            continue
        path = cache / "reports.json"  # what the stages of this cache said of themselves
        reports = read_json(path) if path.exists() else {}
        reports |= {name: {"command": f"{COMMAND} stage={stage}", **report} for name, report in made.items()}
        write_json(path, reports)
        if stage in ("export", "judges", "promptnet", "e4t"):
            write_manifest(WEIGHTS, known_stages(WEIGHTS) | reports, history=replaced_gates(WEIGHTS))


if __name__ == "__main__":
    main()
