"""A fine-tuned person for stock diffusers: `python -m src.export_person run=runs/personalise/DIGEST out=FOLDER`."""

from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from src.data.photos import read_photo
from src.files.whole import read_object
from src.harness.assembly import weights_of
from src.harness.build import build, plain
from src.harness.command import command
from src.harness.deciding import portable
from src.harness.device import begun, moved
from src.harness.preflight.needs import check, needs_of, show
from src.learning.tuned import untuned
from src.models.pipelines import export_person, pseudo_word
from src.runs.listing import check_listing

APPROXIMATION = (
    "An approximation: in ProFusion S* is new at every sampling step, here it is as it was at one timestep, and "
    "diffusers samples by guidance on the prompt alone, without a fusion stage. The method itself is python -m "
    "src.personalise."
)


@command("export_person")
def main(cfg: DictConfig) -> None:
    device = begun(cfg)
    if cfg.preflight_only:
        return show(cfg, needs_of(cfg, "personalise"))
    for name in ("run", "out"):
        if OmegaConf.is_missing(cfg, name):
            raise ValueError(f"{name} is not given: write run=runs/personalise/DIGEST out=NEW_FOLDER")
    run, out = Path(cfg.run).expanduser(), Path(cfg.out).expanduser()
    if out.exists():
        raise ValueError(f"{out} exists: delete it, or give another out")
    check_run(run, portable({name: plain(cfg[name]) for name in ("base", "promptnet")}))
    check(cfg, needs_of(cfg, "personalise"))
    weights_of(cfg, "base", "promptnet")
    base = moved(build(cfg.base), device)
    tuned = untuned(base, moved(build(cfg.promptnet), device)).load(run / "person.safetensors")
    base, promptnet = tuned.in_use()
    promptnet.requires_grad_(False).eval()
    photo = moved(read_photo(run / "photos" / "0.png", base.image_size), device)
    how = {"timestep": cfg.timestep, "seed": cfg.seed}
    word = pseudo_word(base, promptnet, photo, **how)
    about = {"word": "S*", "tokens": len(word), "exact_in": cfg.prompt, **how, "run": run.name, "note": APPROXIMATION}
    export_person(base, word, out, prompt=cfg.prompt, about=about)
    print(
        f"{APPROXIMATION}\nStableDiffusionPipeline.from_pretrained({str(out)!r}): S* of timestep {cfg.timestep}",
        flush=True,
    )


def check_run(run: Path, parts: dict[str, Any]) -> None:
    """Its configuration is compared, and nothing built from it. FileNotFoundError for no run, or one that was not
    fine-tuned; ValueError for one that was learned by another method, or with another base or PromptNet."""
    absent = [name for name in ("config.json", "person.safetensors", "photos/0.png") if not (run / name).is_file()]
    if absent:
        raise FileNotFoundError(
            f"{run} has no {absent[0]}: give the folder of a finished personalise run with fine-tuning"
        )
    check_listing(run, ("config.json", "photos/0.png"))
    then = portable(read_object(run / "config.json"))
    method = str(dict(then.get("method") or {}).get("_target_", "ProFusion")).rpartition(".")[2]
    if method != "ProFusion":
        raise ValueError(
            f"{run} was learned by {method}, whose person.safetensors diffusers reads as it is where it holds a word "
            "(load_textual_inversion) or a LoRA (load_lora_weights): load that file"
        )
    other = [name for name, now in parts.items() if then.get(name) != now]
    if other:
        raise ValueError(
            f"{run} was learned with another {other[0]} ({then.get(other[0])}): give the same world, base and promptnet"
        )


if __name__ == "__main__":
    main()
