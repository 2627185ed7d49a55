"""Make the embedded world from nothing, stage by stage, each resumable: `python -m src.build_tiny_world stage=vae`."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig
from torch import Tensor

from src.harness.build import build, count
from src.harness.command import command
from src.harness.compose import PACKAGE, compose
from src.harness.device import begun, handed_on, memory_for, moved
from src.harness.pretraining import encode, trained
from src.methods.profusion import person_of
from src.reports.grids import image_grid
from src.runs.provenance import now
from src.runs.store import read_json, save_png, to_picture, write_json
from src.tiny_world import export, manifest, unpack, vision
from src.tiny_world.gates.gate import Gate, print_gates
from src.tiny_world.generator import kept_tokenizer
from src.tiny_world.pictures import KeptPhotos, Pictures
from src.tiny_world.training import base as base_training
from src.tiny_world.training import vae as vae_training
from src.tiny_world.training.loop import Budget
from src.tiny_world.wordings import Wordings

WEIGHTS = PACKAGE / "tiny_world" / "weights"
JUDGES = WEIGHTS / "judges"
COMMAND = "python -m src.build_tiny_world"


@command("build_tiny_world", keeps="every checkpoint is kept in {cache}")
def main(cfg: DictConfig) -> None:
    cache = Path(cfg.cache).expanduser()
    device = begun(cfg)
    if cfg.preflight_only:  # the stages draw and make all that they need themselves
        return
    makers: dict[str, Callable[[], dict[str, Any]]] = {
        "unpack": lambda: go_on_from_shipped(cache, cfg.unpack),
        "vae": lambda: {"vae": vae_training.train_vae(cache, budget=budget(cfg, "vae"), device=device)},
        "pictures": lambda: draw(cache, cfg),
        "base": lambda: {"base": train_base(cache, cfg, device)},
        "vision": lambda: {"vision": vision.train_vision(cache, budget=budget(cfg, "vision"), device=device)},
        "export": lambda: export_base(cache),
        "judges": lambda: train_judges(cache, cfg, device),
        "promptnet": lambda: train_promptnet(cache, cfg, device),
        "gates": lambda: measure(cache, cfg, device),
        "look": lambda: look(cache, cfg, device),
    }
    if cfg.stage != "all" and cfg.stage not in makers:
        raise ValueError(f"stage ({cfg.stage}) is unknown: it is one of {', '.join(makers)} or all")
    for stage in [name for name in makers if name not in ("unpack", "look")] if cfg.stage == "all" else [cfg.stage]:
        with memory_for(f"stage {stage}", "set a lower batch.base or batch.promptnet, or device=cpu", device):
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
    """What base and PromptNet look at, by all cores; their stages do it, too, if need be."""
    pictures = Pictures(cache, first=0, **cfg.pictures)
    Wordings(cache, pictures, kept_tokenizer(cache), "cpu")
    KeptPhotos(cache, "train", count=cfg.photos)
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
    from src.tiny_world.judges import identity as identity_judges  # they import what judging alone needs
    from src.tiny_world.judges import presence as presence_judge
    from src.tiny_world.judges import text as text_judges

    report, how = {}, dict[str, Any](device=device)
    for name in text_judges.VISION:
        report[name] = text_judges.train_text_judge(cache, name, budget=budget(cfg, "text_judges"), **how)
        text_judges.export_text_judge(cache, name, JUDGES / name)
    for name in identity_judges.NETS:
        report[name] = identity_judges.train_identity_judge(cache, name, budget=budget(cfg, "identity_judges"), **how)
        identity_judges.export_identity_judge(cache, name, JUDGES / f"{name}.onnx")
    report["presence"] = presence_judge.train_presence_judge(cache, budget=budget(cfg, "presence"), **how)
    presence_judge.export_presence_judge(cache, JUDGES / "presence.onnx")
    return report


def train_promptnet(cache: Path, cfg: DictConfig, device: torch.device) -> dict[str, Any]:
    """The experiment tiny_pretrain on the exported base, from latents, and the export of its PromptNet.

    ValueError where names are known not to work in that base (gate 0): no encoder finds words that are not there.
    """
    check_names(cache, cfg, device)
    photos = KeptPhotos(cache, "train", count=cfg.photos)
    folder = cache / f"promptnet-latents-{cfg.photos}"
    encode(moved(build(cfg.base), device), photos, folder, batch=64 if device.type == "cpu" else 1000)
    steps, batch = cfg.steps.promptnet, cfg.batch.promptnet
    changes = {
        "runs": cfg.runs,
        "logger": cfg.mirror,
        "data": "tiny_latents",
        "data.train.folder": folder,
        "data.total_batch": batch,
        "data.batch": batch,
        "learning.optimizer.lr": cfg.lr.promptnet,
        "trainer.steps": steps,
        "trainer.minutes": "null" if cfg.minutes is None else cfg.minutes,
        "trainer.checkpoint_every": max(1, steps // 20),
        "trainer.validate_every": max(1, steps // 10),
        "trainer.ema": 0.999,
    }
    handed = handed_on(cfg, ("device", "tf32"))
    overrides = [*handed, *(f"{name}={value}" for name, value in changes.items())]
    experiment = compose("train", ["+experiment=tiny_pretrain", *overrides])
    run = trained(experiment)
    export.export_promptnet(run.path("promptnet"), WEIGHTS / "promptnet")
    summary = run.summary()
    about = {"experiment": "python -m src.train +experiment=tiny_pretrain", "last": summary["validation"]}
    about |= {"batch": batch, "photos": cfg.photos, "device": device.type}
    steps = max(row["step"] for row in run.metrics())
    return {"promptnet": {"seed": experiment.seed, "steps": steps, "wall_s": summary["wall_seconds"], **about}}


def check_names(cache: Path, cfg: DictConfig, device: torch.device) -> None:
    """Measure gate 0 if the names of training are here; ValueError if it is missed."""
    names = export.load_names(cache / export.NAMES, WEIGHTS / "base")
    if names is None or not cfg.check_names:
        return
    from src.tiny_world.gates import suite as gates  # they import judges

    base = moved(build(cfg.base), device)
    (row,) = gates.run_gates(base, None, JUDGES, None, names=names.to(device), only=[0])
    if not row.held:
        raise ValueError(
            f"gate 0 is missed ({row.value:.3f} for {row.bound}): the base has no words for people; train it longer "
            "(stage=base), or set check_names=false to train a PromptNet all the same"
        )


def measure(cache: Path, cfg: DictConfig, device: torch.device) -> dict[str, Any]:
    """Print the gates and keep them in the manifest; gate 0 as it was, where the names of training are not here."""
    from src.tiny_world.gates import suite as gates  # they import judges

    shipped = manifest.check_manifest(WEIGHTS)
    names = export.load_names(cache / export.NAMES, WEIGHTS / "base")
    kept = [] if names else [Gate(**row) for row in shipped["gates"] if row["number"] == 0]
    if kept:
        print("gate 0 as it was measured when the base was trained: the names of its training are not here", flush=True)
    torch.manual_seed(0)
    finetune = build(cfg.method.finetune)
    base, promptnet = moved(build(cfg.base), device), moved(build(cfg.promptnet), device)
    only = [number for number in gates.NUMBERS if names or number]
    rows = [*kept, *gates.run_gates(base, promptnet, JUDGES, finetune, names=names and names.to(device), only=only)]
    print(print_gates(rows))
    manifest.write_manifest(WEIGHTS, shipped["stages"], rows)
    return {}


def look(cache: Path, cfg: DictConfig, device: torch.device) -> dict[str, Any]:
    """Pictures of the first validation people, in `out`: by every word there is for them, and in every style."""
    from src.tiny_world import looks  # its neighbours import judges

    base, promptnet = moved(build(cfg.base), device), moved(build(cfg.promptnet), device).requires_grad_(False).eval()
    names = export.load_names(cache / export.NAMES, WEIGHTS / "base")
    finetune = build(cfg.method.finetune)
    samplers = {"base": build(cfg.samplers.base), "fusion": build(cfg.samplers.fusion)}

    def learned(photo: Tensor) -> dict[str, Any]:
        tuned = finetune(base, promptnet, photo.to(device))
        return {name: person_of(tuned, photo.to(device), sampler) for name, sampler in samplers.items()}

    columns = looks.known_by(base, promptnet, names, learned, count(cfg, "looked_at"))
    rows = [[to_picture(picture.cpu()) for picture in row] for row in zip(*columns.values(), strict=True)]
    out = Path(cfg.out)
    save_png(out / "people.png", image_grid(rows, (), list(columns)), {"people": len(rows)})
    styles = looks.in_every_style(base, 4)
    rows = [[to_picture(picture.cpu()) for picture in row] for row in styles.values()]
    save_png(out / "styles.png", image_grid(rows, list(styles), looks.STYLES), {"rows": len(rows)})
    print(f"pictures: {out}", flush=True)
    return {}


if __name__ == "__main__":
    main()
