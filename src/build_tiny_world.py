"""Make the embedded world from nothing, stage by stage, each resumable: `python -m src.build_tiny_world stage=vae`."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig

from src.entry import PACKAGE, build, command, compose
from src.results.provenance import now
from src.results.store import read_json, write_json
from src.tiny_world import base_training, export, manifest, unpack, vae_training, vision
from src.tiny_world.generator import kept_tokenizer
from src.tiny_world.pictures import Pictures
from src.tiny_world.training import Budget
from src.tiny_world.wordings import Wordings
from src.train import trained_promptnet

WEIGHTS = PACKAGE / "tiny_world" / "weights"
JUDGES = WEIGHTS / "judges"
COMMAND = "python -m src.build_tiny_world"


@command("build_tiny_world")
def main(cfg: DictConfig) -> None:
    cache = Path(cfg.cache).expanduser()
    device = torch.device(cfg.device)
    makers: dict[str, Callable[[], dict[str, Any]]] = {
        "unpack": lambda: go_on_from_shipped(cache, cfg.unpack),
        "vae": lambda: {"vae": vae_training.train_vae(cache, budget=budget(cfg, "vae"), device=device)},
        "pictures": lambda: draw(cache, cfg),
        "base": lambda: {"base": train_base(cache, cfg, device)},
        "vision": lambda: {"vision": vision.train_vision(cache, budget=budget(cfg, "vision"), device=device)},
        "export": lambda: export_base(cache),
        "judges": lambda: train_judges(cache, cfg, device),
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


def budget(cfg: DictConfig, stage: str) -> Budget:
    """The steps of a stage, and the minutes that each stage may take at most."""
    return Budget(cfg.steps[stage], cfg.minutes)


def go_on_from_shipped(cache: Path, stages: Sequence[str]) -> dict[str, Any]:
    """Checkpoints that begin with the shipped weights."""
    unpack.unpack(WEIGHTS, cache, stages)
    return {}


def draw(cache: Path, cfg: DictConfig) -> dict[str, Any]:
    """What the base looks at, by all cores: pictures, captions, traits. The stage base does it, too, if need be."""
    pictures = Pictures(cache, first=0, **cfg.pictures)
    Wordings(cache, pictures, kept_tokenizer(cache), "cpu")
    base_training.known_traits(cache, pictures, torch.device("cpu"))
    return {}


def train_base(cache: Path, cfg: DictConfig, device: torch.device) -> dict[str, Any]:
    """The stage base as it is configured."""
    how = {"batch": cfg.batch.base, "lr": cfg.lr.base, "compiled": cfg.compile, "pictures": cfg.pictures}
    return base_training.train_base(cache, budget=budget(cfg, "base"), device=device, **how)


def export_base(cache: Path) -> dict[str, Any]:
    """Base and example photos, from the checkpoints to the shipped folders."""
    export.export_base(cache, WEIGHTS / "base")
    export.export_examples(PACKAGE / "tiny_world" / "examples")
    return {}


def train_judges(cache: Path, cfg: DictConfig, device: torch.device) -> dict[str, Any]:
    """All judges, one after the other, and their export."""
    from src.tiny_world import identity_judges, presence_judge, text_judges  # they import what judging alone needs

    report, how = {}, {"device": device}
    for name in text_judges.VISION:
        report[name] = text_judges.train_text_judge(cache, name, budget=budget(cfg, "text_judges"), **how)
        text_judges.export_text_judge(cache, name, JUDGES / name)
    for name in identity_judges.NETS:
        report[name] = identity_judges.train_identity_judge(cache, name, budget=budget(cfg, "identity_judges"), **how)
        identity_judges.export_identity_judge(cache, name, JUDGES / f"{name}.onnx")
    report["presence"] = presence_judge.train_presence_judge(cache, budget=budget(cfg, "presence"), **how)
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
    from src.tiny_world import gates  # they import judges

    stages = manifest.check_manifest(WEIGHTS)["stages"]
    torch.manual_seed(0)
    finetune = build(cfg.method).keywords["finetune"]
    rows = gates.run_gates(build(cfg.base), build(cfg.promptnet), JUDGES, finetune)
    print(gates.print_gates(rows))
    manifest.write_manifest(WEIGHTS, stages, rows)
    return {}


if __name__ == "__main__":
    main()
