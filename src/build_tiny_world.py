"""Make the embedded world from nothing, stage by stage, each resumable: `python -m src.build_tiny_world stage=vae`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig

from src.entry import PACKAGE, build, command, compose
from src.results.provenance import now
from src.results.store import read_json, write_json
from src.tiny_world import (
    export,
    gates,
    generator,
    identity_judges,
    manifest,
    presence_judge,
    text_judges,
    unpack,
    vision,
)
from src.train import trained_promptnet

WEIGHTS = PACKAGE / "tiny_world" / "weights"
JUDGES = WEIGHTS / "judges"
COMMAND = "python -m src.build_tiny_world"


@command("build_tiny_world", keeps="every checkpoint is kept in {cache}")
def main(cfg: DictConfig) -> None:
    cache = Path(cfg.cache).expanduser()
    makers: dict[str, Callable[[], dict[str, Any]]] = {
        "unpack": lambda: go_on_from_shipped(cache),
        "vae": lambda: {"vae": generator.train_vae(cache, steps=cfg.steps.vae)},
        "base": lambda: {"base": generator.train_base(cache, steps=cfg.steps.base)},
        "vision": lambda: {"vision": vision.train_vision(cache, steps=cfg.steps.vision)},
        "export": lambda: export_base(cache),
        "judges": lambda: train_judges(cache, cfg.steps),
        "promptnet": lambda: train_promptnet(cfg),
        "gates": lambda: measure(cfg),
    }
    if cfg.stage != "all" and cfg.stage not in makers:
        raise ValueError(f"stage ({cfg.stage}) is unknown: it is one of {', '.join(makers)} or all")
    for stage in [name for name in makers if name != "unpack"] if cfg.stage == "all" else [cfg.stage]:
        done = makers[stage]()
        reports = _reports(cache) | {name: {"command": f"{COMMAND} stage={stage}", **r} for name, r in done.items()}
        write_json(cache / "reports.json", reports)
        if stage in ("export", "judges", "promptnet"):
            manifest.write_manifest(WEIGHTS, _known() | reports, history=_replaced())


def _reports(cache: Path) -> dict[str, Any]:
    """What the stages of this cache said of themselves, by stage."""
    path = cache / "reports.json"
    return read_json(path) if path.exists() else {}


def _known() -> dict[str, Any]:
    """What the shipped manifest says of stages; those that are made again replace it."""
    return manifest.read_manifest(WEIGHTS)["stages"] if (WEIGHTS / manifest.MANIFEST).exists() else {}


def _replaced() -> list[dict[str, Any]]:
    """The gates of the weights that are about to be replaced, for the manifest's history."""
    if not (WEIGHTS / manifest.MANIFEST).exists():
        return []
    gates_then = manifest.read_manifest(WEIGHTS)["gates"]
    values = {f"{row['number']} {row['name']}": row["value"] for row in gates_then}
    return [{"replaced": now(), "weights": manifest.weights_digest(WEIGHTS), "gates": values}] if values else []


def go_on_from_shipped(cache: Path) -> dict[str, Any]:
    """Checkpoints for the stages vae, base and vision that begin with the shipped weights."""
    unpack.unpack(WEIGHTS, cache)
    return {}


def export_base(cache: Path) -> dict[str, Any]:
    """Base and example photos, from the checkpoints to the shipped folders."""
    export.export_base(cache, WEIGHTS / "base")
    export.export_examples(PACKAGE / "tiny_world" / "examples")
    return {}


def train_judges(cache: Path, steps: Any) -> dict[str, Any]:
    """All judges, one after the other, and their export."""
    report = {}
    for name in text_judges.VISION:
        report[name] = text_judges.train_text_judge(cache, name, steps=steps.text_judges)
        text_judges.export_text_judge(cache, name, JUDGES / name)
    for name in identity_judges.NETS:
        report[name] = identity_judges.train_identity_judge(cache, name, steps=steps.identity_judges)
        identity_judges.export_identity_judge(cache, name, JUDGES / f"{name}.onnx")
    report["presence"] = presence_judge.train_presence_judge(cache, steps=steps.presence)
    presence_judge.export_presence_judge(cache, JUDGES / "presence.onnx")
    return report


def train_promptnet(cfg: DictConfig) -> dict[str, Any]:
    """The experiment tiny_pretrain on the exported base, and the export of its PromptNet."""
    changes = [f"trainer.steps={cfg.steps.promptnet}", f"runs={cfg.runs}"]
    experiment = compose("train", ["+experiment=tiny_pretrain", *changes])
    run = trained_promptnet(experiment)
    export.export_promptnet(run.path("promptnet"), WEIGHTS / "promptnet")
    summary = run.summary()
    about = {"experiment": "python -m src.train +experiment=tiny_pretrain", "last": summary["validation"]}
    return {
        "promptnet": {"seed": experiment.seed, "steps": summary["steps"], "wall_s": summary["wall_seconds"], **about}
    }


def measure(cfg: DictConfig) -> dict[str, Any]:
    """Print the gates and keep them in the manifest."""
    stages = manifest.check_manifest(WEIGHTS)["stages"]
    torch.manual_seed(0)
    finetune = build(cfg.method).keywords["finetune"]
    rows = gates.run_gates(build(cfg.base), build(cfg.promptnet), JUDGES, finetune)
    print(gates.print_gates(rows))
    manifest.write_manifest(WEIGHTS, stages, rows)
    return {}


if __name__ == "__main__":
    main()
