"""The stages that make the embedded world, as `build_tiny_world` is configured; each says what it made for reports."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig
from torch import Tensor

from src.harness.build import build, count
from src.harness.compose import PACKAGE, compose
from src.harness.device import handed_on, moved
from src.harness.judges import build_judges
from src.harness.pretraining import encode, trained
from src.methods.profusion import person_of
from src.reports.grids import image_grid
from src.runs.run import Run
from src.runs.store import save_png, to_picture
from src.tiny_world import looks
from src.tiny_world.gates.gate import Gate, print_gates
from src.tiny_world.gates.measure import NUMBERS, World, run_gates
from src.tiny_world.judges import identity, presence, text
from src.tiny_world.manifest import check_manifest, write_manifest
from src.tiny_world.names import Names
from src.tiny_world.training import shipping
from src.tiny_world.training.base import train_base
from src.tiny_world.training.checkpoints import kept_tokenizer
from src.tiny_world.training.corpus import Wordings, known_traits
from src.tiny_world.training.loop import Budget
from src.tiny_world.training.pictures import KeptPhotos, Pictures
from src.tiny_world.training.processes import join
from src.tiny_world.training.vae import train_vae
from src.tiny_world.training.vision import train_vision

WEIGHTS = PACKAGE / "tiny_world" / "weights"
JUDGES = WEIGHTS / "judges"

Report = dict[str, Any]  # stage or net -> what the manifest says of its training; {} of what trains nothing


def budget(cfg: DictConfig, stage: str) -> Budget:
    """The steps of a stage, and the minutes that each stage may take at most."""
    return Budget(cfg.steps[stage], cfg.minutes)


def unpack(cfg: DictConfig, cache: Path, device: torch.device) -> Report:
    """Checkpoints that begin with the shipped weights."""
    shipping.unpack(WEIGHTS, cache, cfg.unpack)
    return {}


def vae(cfg: DictConfig, cache: Path, device: torch.device) -> Report:
    """The autoencoder."""
    return {"vae": train_vae(cache, budget=budget(cfg, "vae"), device=device)}


def pictures(cfg: DictConfig, cache: Path, device: torch.device) -> Report:
    """What base and PromptNet look at, by all cores; their stages do it, too, if need be."""
    drawn = Pictures(cache, first=0, **cfg.pictures)
    Wordings(cache, drawn, kept_tokenizer(cache), "cpu")
    KeptPhotos(cache, "train", count=cfg.photos)
    known_traits(cache, drawn, torch.device("cpu"))
    return {}


def base(cfg: DictConfig, cache: Path, device: torch.device) -> Report:
    """U-Net, text encoder and names; several processes share each batch where torchrun has started them."""
    join(device)
    how = {"batch": cfg.batch.base, "lr": cfg.lr.base, "compiled": cfg.compile, "pictures": cfg.pictures}
    return {"base": train_base(cache, budget=budget(cfg, "base"), device=device, **how)}


def vision(cfg: DictConfig, cache: Path, device: torch.device) -> Report:
    """The image encoder."""
    return {"vision": train_vision(cache, budget=budget(cfg, "vision"), device=device)}


def export(cfg: DictConfig, cache: Path, device: torch.device) -> Report:
    """Base and example photos, from the checkpoints to the shipped folders."""
    shipping.export_base(cache, WEIGHTS / "base")
    shipping.export_examples(PACKAGE / "tiny_world" / "examples")
    return {}


def judges(cfg: DictConfig, cache: Path, device: torch.device) -> Report:
    """All judges, one after the other, and their export."""
    report = {}
    for name in text.VISION:
        report[name] = text.train_text_judge(cache, name, budget=budget(cfg, "text_judges"), device=device)
        text.export_text_judge(cache, name, JUDGES / name)
    for name in identity.NETS:
        steps = budget(cfg, "identity_judges")
        report[name] = identity.train_identity_judge(cache, name, budget=steps, device=device)
        identity.export_identity_judge(cache, name, JUDGES / f"{name}.onnx")
    report["presence"] = presence.train_presence_judge(cache, budget=budget(cfg, "presence"), device=device)
    presence.export_presence_judge(cache, JUDGES / "presence.onnx")
    return report


def promptnet(cfg: DictConfig, cache: Path, device: torch.device) -> Report:
    """The experiment tiny_pretrain on the exported base, from latents, and the export of its PromptNet.

    ValueError where names are known not to work in that base (gate 0): no encoder finds words that are not there.
    """
    names = known_names(cache, device)
    if names is not None and cfg.check_names:
        (row,) = run_gates(world(cfg, device, names=names), [0])
        if not row.held:
            raise ValueError(
                f"gate 0 is missed ({row.value:.3f} for {row.bound}): the base has no words for people; train it "
                "longer (stage=base), or set check_names=false to train a PromptNet all the same"
            )
    run, report = _encoder(cfg, cache, device, "promptnet", "tiny_pretrain")
    shipping.export_promptnet(run.path("promptnet"), WEIGHTS / "promptnet")
    return report


def e4t(cfg: DictConfig, cache: Path, device: torch.device) -> Report:
    """The experiment tiny_e4t on the exported base, from the same latents, and the export of its E4T."""
    run, report = _encoder(cfg, cache, device, "e4t", "tiny_e4t")
    shipping.export_e4t(run.path("e4t"), WEIGHTS / "e4t")
    return report


def _encoder(cfg: DictConfig, cache: Path, device: torch.device, stage: str, experiment: str) -> tuple[Run, Report]:
    """An experiment's run on the latents of the photos, and what the manifest says of it."""
    photos = KeptPhotos(cache, "train", count=cfg.photos)
    folder = cache / f"promptnet-latents-{cfg.photos}"
    encode(moved(build(cfg.base), device), photos, folder, batch=64 if device.type == "cpu" else 1000)
    settings = [f"{name}={value}" for name, value in encoder_settings(cfg, stage, folder).items()]
    composed = compose("train", [f"+experiment={experiment}", *handed_on(cfg, ("device", "tf32")), *settings])
    run = trained(composed)
    summary = run.summary()
    about = {"experiment": f"python -m src.train +experiment={experiment}", "last": summary["validation"]}
    about |= {"batch": cfg.batch[stage], "photos": cfg.photos, "device": device.type}
    steps = max(row["step"] for row in run.metrics())
    return run, {stage: {"seed": composed.seed, "steps": steps, "wall_s": summary["wall_seconds"], **about}}


def encoder_settings(cfg: DictConfig, stage: str, folder: Path) -> dict[str, Any]:
    """What this world changes in the experiment of a stage, promptnet or e4t; folder: of the latents."""
    steps, batch = cfg.steps[stage], cfg.batch[stage]
    return {
        "runs": cfg.runs,
        "logger": cfg.mirror,
        "data": "tiny_latents",
        "data.train.folder": folder,
        "data.total_batch": batch,
        "data.batch": batch,
        "learning.optimizer.lr": cfg.lr[stage],
        "trainer.steps": steps,
        "trainer.minutes": "null" if cfg.minutes is None else cfg.minutes,
        "trainer.checkpoint_every": max(1, steps // 20),
        "trainer.validate_every": max(1, steps // 10),
        "trainer.ema": 0.999,
    }


def world(cfg: DictConfig, device: torch.device, **more: Any) -> World:
    """The base and the judges of this configuration, and what else there is to measure."""
    asked: dict[str, Any] = {**build_judges(cfg, ("text", "identity"))}
    return World(moved(build(cfg.base), device), asked["text"], asked["identity"], **more)


def known_names(cache: Path, device: torch.device) -> Names | None:
    """The names of the base's training; None where they are not here."""
    names = shipping.load_names(cache / shipping.NAMES, WEIGHTS / "base")
    return names and names.to(device)


def gates(cfg: DictConfig, cache: Path, device: torch.device) -> Report:
    """Print the gates and keep them in the manifest; gate 0 as it was, where the names of training are not here."""
    shipped = check_manifest(WEIGHTS)
    names = known_names(cache, device)
    kept = [] if names else [Gate(**row) for row in shipped["gates"] if row["number"] == 0]
    if kept:
        print("gate 0 as it was measured when the base was trained: the names of its training are not here", flush=True)
    torch.manual_seed(0)
    how = {"promptnet": moved(build(cfg.promptnet), device), "finetune": build(cfg.method.finetune)}
    measured = run_gates(world(cfg, device, names=names, **how), [number for number in NUMBERS if names or number])
    rows = [*kept, *measured]
    print(print_gates(rows))
    write_manifest(WEIGHTS, shipped["stages"], rows)
    return {}


def look(cfg: DictConfig, cache: Path, device: torch.device) -> Report:
    """Pictures of the first validation people, in `out`: by every word there is for them, and in every style."""
    base, net = moved(build(cfg.base), device), moved(build(cfg.promptnet), device).requires_grad_(False).eval()
    finetune = build(cfg.method.finetune)
    samplers = {"base": build(cfg.samplers.base), "fusion": build(cfg.samplers.fusion)}

    def learned(photo: Tensor) -> dict[str, Any]:
        tuned = finetune(base, net, photo.to(device))
        return {name: person_of(tuned, photo.to(device), sampler) for name, sampler in samplers.items()}

    columns = looks.known_by(base, net, known_names(cache, device), learned, count(cfg, "looked_at"))
    rows = [[to_picture(picture.cpu()) for picture in row] for row in zip(*columns.values(), strict=True)]
    out = Path(cfg.out)
    save_png(out / "people.png", image_grid(rows, (), list(columns)), {"people": len(rows)})
    styles = looks.in_every_style(base, 4)
    rows = [[to_picture(picture.cpu()) for picture in row] for row in styles.values()]
    save_png(out / "styles.png", image_grid(rows, list(styles), looks.STYLES), {"rows": len(rows)})
    print(f"pictures: {out}", flush=True)
    return {}


# in the order of stage=all, which leaves out the first and the last
STAGES: dict[str, Callable[[DictConfig, Path, torch.device], Report]] = {
    stage.__name__: stage
    for stage in (unpack, vae, pictures, base, vision, export, judges, promptnet, e4t, gates, look)
}
