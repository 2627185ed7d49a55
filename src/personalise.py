"""Your photo x prompts x seeds: `python -m src.personalise photo=me.png 'prompts=["a photo of S* at the beach"]'`."""

from functools import partial
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from src.data.photos import read_photos
from src.harness.build import build, count, listed_shares, plain
from src.harness.command import command
from src.harness.compose import PACKAGE
from src.harness.composed import (
    TO_DRAW,
    TO_JUDGE,
    TO_LEARN,
    augmented,
    base_of,
    check_logger,
    look_first,
    weights_of,
)
from src.harness.deciding import SIDE, code_of, deciding, portable
from src.harness.device import described, device_of, let_go, memory_for, moved
from src.harness.judges import build_judges
from src.harness.preflight.needs import Need
from src.harness.preflight.people import ready
from src.harness.study import Generate, Rows, batches
from src.harness.variants import kept_variants
from src.methods.profusion import check_shares
from src.metrics.score import score_folder
from src.models.base import TextToImage
from src.models.prompts import check_distinct, check_prompt
from src.reports.grids import contact_sheet
from src.runs.digests import digest, file_digest
from src.runs.run import Run, open_run
from src.runs.store import save_png, to_picture, write_csv


@command("personalise", keeps="a person who was learned is kept in {runs}")
def main(cfg: DictConfig) -> None:
    device = ready(cfg, "personalise", photos_of(cfg))
    if device is None:
        return
    if OmegaConf.is_missing(cfg, "photo"):
        raise ValueError(f"photo is not given: write photo=PATH; examples lie in {PACKAGE / 'tiny_world' / 'examples'}")
    check_logger(cfg)
    settings = asked(cfg)
    if not settings["prompts"]:
        raise ValueError("prompts ([]) must hold at least one prompt, such as 'a photo of S* at the beach'")
    check_distinct(settings["prompts"])
    seeds = list(range(cfg.seed, cfg.seed + count(cfg, "seeds")))
    weights_of(cfg, "base", "promptnet", "judges", "augmentation")  # shipped ones are checked
    base, promptnet, sampler = base_of(cfg, device), moved(build(cfg.promptnet), device), build(cfg.sampler)
    for prompt in settings["prompts"]:
        check_prompt(prompt, base.tokenizer, base.known_words, promptnet.num_pseudo_tokens)
    base.schedule(sampler.steps)
    method = build(cfg.method)(promptnet=promptnet, sampler=sampler)
    photos = moved(read_photos(settings["photo"], base.image_size), device)
    check_people(settings["people"], len(photos))
    check_shares(listed_shares(cfg), len(photos))
    pictures = dict(zip(settings["photo"], photos, strict=True))  # images are compared with the first
    look_first(cfg, build_judges(cfg, ("text", "identity")), settings["prompts"], pictures, settings["photo"][:1])
    if cfg.augmentation is not None:
        for photo, name in zip(photos, names_of(settings), strict=True):  # before a folder is made
            build(cfg.augmentation.mask)(photo[None], name, settings["prompts"])
    print(cfg.world.notice, flush=True)
    key = key_of(cfg)
    about: dict[str, Any] = {"group": f"{cfg.world.name}-own-photos", "tags": [cfg.world.name, "method"]}
    about["device"] = described(device)
    with open_run(cfg.runs, "personalise", settings, key, logger=plain(cfg.logger), **about) as run:
        if not run.complete:
            variants = None if cfg.augmentation is None else partial(varied, cfg, run, base, settings)
            how = {"keep": run.path("person.safetensors"), "variants": variants, "people": settings["people"]}
            with memory_for("learning the person", TO_LEARN, device):
                person = method.learn(base, photos, **how)
            if method.finetune is not None:
                run.keep("person", run.path("person.safetensors"))
            with memory_for("drawing", TO_DRAW, device):
                rows = generate(run, person, photos, settings, seeds)
            evaluations = getattr(person, "unet_evaluations", None)
            del person  # the generator makes room for the judges
            base.to("cpu")
            promptnet.to("cpu")
            let_go(device)
            with memory_for("judging", TO_JUDGE, device):
                run.write_scores(judged(cfg, run, rows))
            run.finish({"images": len(rows), "unet_evaluations": evaluations})
    for name in ("images", "scores.csv", "sheet.png"):
        print(f"{name:<11}{run.made(name)}", flush=True)


def photos_of(cfg: DictConfig) -> list[Need]:
    """The photos, found or not."""
    listed = [] if OmegaConf.is_missing(cfg, "photo") else _listed(plain(cfg.photo))
    remedies = {path: "" if Path(path).is_file() else "give the path of an image file" for path in listed}
    return [Need("the photo", path, remedy) for path, remedy in remedies.items()]


def asked(cfg: DictConfig) -> dict[str, Any]:
    """The settings as plain data; photo and prompts are lists."""
    settings = plain(cfg)
    return settings | {name: _listed(settings[name]) for name in ("photo", "prompts")}


def key_of(cfg: DictConfig) -> str:
    """The digest of the run: of its settings, of the photos' content, and of their names where masks go by them."""
    own = deciding(asked(cfg))
    own["names"] = None if cfg.augmentation is None else names_of(own)
    own["photo"] = [file_digest(Path(path)) for path in own["photo"]]
    weights = weights_of(cfg, "base", "promptnet", "judges", "augmentation")
    return digest(portable(own), weights=weights, code=code_of(SIDE))


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
    kept = torch.cat([kept_variants(f, base.image_size, make) for f, make in zip(folders, made, strict=True)])
    return moved(kept, base.device)


def names_of(settings: dict[str, Any]) -> list[str]:
    """By which masks are looked for."""
    return [Path(path).stem for path in settings["photo"]]


def _listed(value: Any) -> list[str]:
    """One path or prompt, or several."""
    return [value] if isinstance(value, str) else list(value)


def generate(run: Run, person: Generate, photos: Tensor, settings: dict[str, Any], seeds: list[int]) -> Rows:
    """Images with their settings, and a contact sheet; as many at once as the sampler's batch says."""
    about = {"person": "photo", "family": "own", "photo": "photos/0.png"}
    rows: Rows = [
        {"file": f"images/{number:02d}-{seed}.png", "seed": seed, "prompt": prompt, **about}
        for number, prompt in enumerate(settings["prompts"])
        for seed in seeds
    ]
    for number, photo in enumerate(photos):
        run.save_image(f"photos/{number}.png", to_picture(photo.cpu()), {"photo": settings["photo"][number]})
    how = {name: settings[name] for name in ("photo", "sampler", "method")}
    for batch in batches(rows, getattr(person, "batch", None)):
        images = person([row["prompt"] for row in batch], [row["seed"] for row in batch]).cpu()
        for row, image in zip(batch, images, strict=True):
            run.save_image(row["file"], to_picture(image), {"prompt": row["prompt"], "seed": row["seed"], **how})
    pictures = [to_picture(photo.cpu()) for photo in photos] + [run.path(row["file"]) for row in rows]
    captions = ["photo"] * len(photos) + [row["prompt"] for row in rows]
    save_png(run.path("sheet.png"), contact_sheet(pictures, captions, columns=len(seeds) + 1), {"rows": len(rows)})
    return rows


def judged(cfg: DictConfig, run: Run, rows: Rows) -> Rows:
    """The rows with the world's judges' scores."""
    write_csv(run.path("images.csv"), rows)
    judges = build_judges(cfg, ("text", "identity"), device=device_of(cfg.device))
    return score_folder(run.folder, text=judges["text"], identity=judges["identity"], generic=cfg.sampler.generic)


if __name__ == "__main__":
    main()
