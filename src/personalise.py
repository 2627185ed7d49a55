"""Your photo x prompts x seeds: `python -m src.personalise photo=me.png 'prompts=["a photo of S* at the beach"]'`."""

from pathlib import Path

import torch
from omegaconf import DictConfig, OmegaConf

from src.data.photos import read_photos
from src.entry import PACKAGE, build, command, plain
from src.methods.profusion import ProFusion
from src.models.prompts import check_prompt
from src.results.digests import code_digest, digest, file_digest
from src.results.grids import contact_sheet
from src.results.runs import Run, open_run
from src.results.store import save_png, to_picture
from src.studies import CODE, world_weights


@command("personalise")
def main(cfg: DictConfig) -> None:
    if OmegaConf.is_missing(cfg, "photo"):
        raise ValueError(f"photo is not given: write photo=PATH; examples lie in {PACKAGE / 'tiny_world' / 'examples'}")
    prompts, paths = plain(cfg.prompts), plain(cfg.photo)
    if not prompts or cfg.seeds < 1:
        raise ValueError(f"prompts ({prompts}) must hold at least one prompt, and seeds ({cfg.seeds}) be at least 1")
    weights = world_weights(cfg)
    base = build(cfg.base)
    for prompt in prompts:
        check_prompt(prompt, base.tokenizer, base.known_words)
    photos = read_photos(paths, base.image_size)
    print(cfg.world.notice, flush=True)
    files = {str(path): file_digest(Path(path)) for path in ([paths] if isinstance(paths, str) else paths)}
    settings = {name: value for name, value in plain(cfg).items() if name not in ("runs", "logger")}
    key = digest({**settings, "photo": list(files.values())}, weights=weights, code=code_digest(PACKAGE, CODE))
    with open_run(cfg.runs, "personalise", settings, key, logger=plain(cfg.logger), tags=[cfg.world.name]) as run:
        if not run.complete:
            generate(cfg, run, base, photos, prompts)
    print(f"images: {run.path('images')}\nsheet:  {run.path('sheet.png')}", flush=True)


def generate(cfg: DictConfig, run: Run, base, photos: torch.Tensor, prompts: list[str]) -> None:
    """Learn the person, then all seeds of a prompt in one batch."""
    method: ProFusion = build(cfg.method)(promptnet=build(cfg.promptnet), sampler=build(cfg.sampler))
    person = method.learn(base, photos, keep=run.path("person.safetensors"))
    seeds, sheet = list(range(cfg.seed, cfg.seed + cfg.seeds)), []
    for number, prompt in enumerate(prompts):
        for seed, image in zip(seeds, person(prompt, seeds).cpu(), strict=True):
            settings = {"prompt": prompt, "seed": seed, "photo": plain(cfg.photo), "sampler": plain(cfg.sampler)}
            name = f"images/{number:02d}-{seed}.png"
            run.save_image(name, to_picture(image), {**settings, "method": plain(cfg.method)})
            sheet.append((run.path(name), prompt))
        run.log({"prompt": prompt, "unet_evaluations": getattr(person, "unet_evaluations", None)})
    pictures = [to_picture(photo) for photo in photos] + [path for path, _ in sheet]
    captions = ["photo"] * len(photos) + [prompt for _, prompt in sheet]
    save_png(run.path("sheet.png"), contact_sheet(pictures, captions, columns=len(seeds) + 1), {"prompts": prompts})
    run.finish({"images": len(sheet)})


if __name__ == "__main__":
    main()
