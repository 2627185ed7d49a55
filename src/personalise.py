"""Your photo x prompts x seeds: `python -m src.personalise photo=me.png 'prompts=["a photo of S* at the beach"]'`."""

from functools import partial
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from src.data.photos import read_photos
from src.entry import PACKAGE, build, command, count, listed_shares, plain, portable
from src.judging import build_judges
from src.methods.profusion import check_shares
from src.metrics.score import score_folder
from src.models.base import TextToImage
from src.models.prompts import check_prompt
from src.preflight import check_needs
from src.results.digests import code_digest, digest, file_digest
from src.results.grids import contact_sheet
from src.results.runs import Run, open_run
from src.results.store import save_png, to_picture, write_csv
from src.results.study import Generate, Rows
from src.results.variants import kept_variants
from src.studies import SIDE, augmented, check_logger, weights_of


@command("personalise", keeps="a person who was learned is kept in {runs}")
def main(cfg: DictConfig) -> None:
    if OmegaConf.is_missing(cfg, "photo"):
        raise ValueError(f"photo is not given: write photo=PATH; examples lie in {PACKAGE / 'tiny_world' / 'examples'}")
    check_needs(cfg, "personalise")
    check_logger(cfg)
    settings = plain(cfg)
    settings |= {name: _listed(settings[name]) for name in ("photo", "prompts")}
    if not settings["prompts"]:
        raise ValueError("prompts ([]) must hold at least one prompt, such as 'a photo of S* at the beach'")
    seeds = list(range(cfg.seed, cfg.seed + count(cfg, "seeds")))
    weights = weights_of(cfg, "base", "promptnet", "judges", "augmentation")
    base, promptnet, sampler = build(cfg.base), build(cfg.promptnet), build(cfg.sampler)
    for prompt in settings["prompts"]:
        check_prompt(prompt, base.tokenizer, base.known_words, promptnet.num_pseudo_tokens)
    base.schedule(sampler.steps)
    method = build(cfg.method)(promptnet=promptnet, sampler=sampler)
    photos = read_photos(settings["photo"], base.image_size)
    check_people(settings["people"], len(photos))
    check_shares(listed_shares(cfg), len(photos))
    if cfg.augmentation is not None:
        for photo, name in zip(photos, names_of(settings), strict=True):  # before a folder is made
            build(cfg.augmentation.mask)(photo[None], name, settings["prompts"])
    print(cfg.world.notice, flush=True)
    own = {name: value for name, value in settings.items() if name not in ("runs", "logger")}
    own["photo"] = [file_digest(Path(path)) for path in settings["photo"]]
    key = digest(portable(own), weights=weights, code=code_digest(PACKAGE, (*SIDE, "personalise.py")))
    about: dict[str, Any] = {"group": f"{cfg.world.name}-own-photos", "tags": [cfg.world.name, "method"]}
    with open_run(cfg.runs, "personalise", settings, key, logger=plain(cfg.logger), **about) as run:
        if not run.complete:
            variants = None if cfg.augmentation is None else partial(varied, cfg, run, base, settings)
            person = method.learn(
                base, photos, keep=run.path("person.safetensors"), variants=variants, people=settings["people"]
            )
            if method.finetune is not None:
                run.keep("person", run.path("person.safetensors"))
            rows = generate(run, person, photos, settings, seeds)
            run.write_scores(judged(cfg, run, rows))
            run.finish({"images": len(rows), "unet_evaluations": getattr(person, "unet_evaluations", None)})
    for name in ("images", "scores.csv", "sheet.png"):
        print(f"{name:<11}{run.made(name)}", flush=True)


def check_people(people: Any, photos: int) -> None:
    """ValueError unless there is one number for each photo, or none at all."""
    if people is not None and (not isinstance(people, list) or len(people) != photos):
        raise ValueError(f"people ({people}) must be a list of {photos}: whom each photo shows, such as [0,1]")


def varied(cfg: DictConfig, run: Run, base: TextToImage, settings: dict[str, Any], photos: Tensor) -> Tensor:
    """The photos [P, 3, H, W] and their variants, which are kept in the run with a contact sheet to look at."""
    names = names_of(settings)
    made = [
        partial(augmented, cfg.augmentation, base, photo[None], name, settings["prompts"])
        for photo, name in zip(photos, names, strict=True)
    ]
    folders = [run.path("variants") / f"{number}-{name}" for number, name in enumerate(names)]
    return torch.cat([kept_variants(f, base.image_size, make) for f, make in zip(folders, made, strict=True)])


def names_of(settings: dict[str, Any]) -> list[str]:
    """By which masks are looked for."""
    return [Path(path).stem for path in settings["photo"]]


def _listed(value: Any) -> list[str]:
    """One path or prompt, or several."""
    return [value] if isinstance(value, str) else list(value)


def generate(run: Run, person: Generate, photos: Tensor, settings: dict[str, Any], seeds: list[int]) -> Rows:
    """All seeds of a prompt in one batch; images with their settings, and a contact sheet."""
    rows = []
    for number, photo in enumerate(photos):
        run.save_image(f"photos/{number}.png", to_picture(photo), {"photo": settings["photo"][number]})
    for number, prompt in enumerate(settings["prompts"]):
        about = {"person": "photo", "prompt": prompt, "family": "own", "photo": "photos/0.png"}
        for seed, image in zip(seeds, person(prompt, seeds).cpu(), strict=True):
            rows.append({"file": f"images/{number:02d}-{seed}.png", "seed": seed, **about})
            how = {name: settings[name] for name in ("photo", "sampler", "method")}
            run.save_image(rows[-1]["file"], to_picture(image), {"prompt": prompt, "seed": seed, **how})
    pictures = [to_picture(photo) for photo in photos] + [run.path(row["file"]) for row in rows]
    captions = ["photo"] * len(photos) + [row["prompt"] for row in rows]
    save_png(run.path("sheet.png"), contact_sheet(pictures, captions, columns=len(seeds) + 1), {"rows": len(rows)})
    return rows


def judged(cfg: DictConfig, run: Run, rows: Rows) -> Rows:
    """The rows with the world's judges' scores."""
    write_csv(run.path("images.csv"), rows)
    judges = build_judges(cfg, ("text", "identity"))
    return score_folder(run.folder, text=judges["text"], identity=judges["identity"], generic=cfg.sampler.generic)


if __name__ == "__main__":
    main()
