"""Your photo x prompts x seeds: `python -m src.personalise photo=me.png 'prompts=["a photo of S* at the beach"]'`."""

from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from src.files.rows import Rows
from src.harness.assembly import TO_DRAW
from src.harness.build import plain
from src.harness.command import command
from src.harness.compose import PACKAGE
from src.harness.device import described, memory_for
from src.harness.own_photos import OwnPhotos, listed
from src.harness.preflight.needs import Need
from src.harness.preflight.people import ready
from src.harness.study import drawn
from src.methods.method import Generate
from src.reports.grids import contact_sheet
from src.runs.run import Run, open_run
from src.runs.store import save_png, to_picture, write_csv


@command("personalise", keeps="a person who was learned is kept in {runs}")
def main(cfg: DictConfig) -> None:
    device = ready(cfg, "personalise", photos_of(cfg))
    if device is None:
        return
    if OmegaConf.is_missing(cfg, "photo"):
        raise ValueError(f"photo is not given: write photo=PATH; examples lie in {PACKAGE / 'tiny_world' / 'examples'}")
    own = OwnPhotos(cfg)
    own.check()
    print(cfg.world.notice, flush=True)
    about: dict[str, Any] = {"group": f"{cfg.world.name}-own-photos", "tags": [cfg.world.name, "method"]}
    about |= {"logger": plain(cfg.logger), "device": described(device)}
    with open_run(cfg.runs, "personalise", own.settings, own.key(), **about) as run:
        if not run.complete:
            person = own.learn(run)
            with memory_for("drawing", TO_DRAW, device):
                rows = draw(run, person, own)
            evaluations = getattr(person, "unet_evaluations", None)
            del person  # the generator makes room for the judges
            run.write_scores(own.parts.score(run.folder))
            run.finish({"images": len(rows), "photos": len(own.paths), "unet_evaluations": evaluations})
    for name in ("images", "scores.csv", "sheet.png"):
        print(f"{name:<11}{run.made(name)}", flush=True)


def photos_of(cfg: DictConfig) -> list[Need]:
    """The photos, found or not."""
    paths = [] if OmegaConf.is_missing(cfg, "photo") else listed(plain(cfg.photo))
    remedies = {path: "" if Path(path).is_file() else "give the path of an image file" for path in paths}
    return [Need("the photo", path, remedy) for path, remedy in remedies.items()]


def draw(run: Run, person: Generate, own: OwnPhotos) -> Rows:
    """Images with their settings, their list, and a contact sheet; as many at once as the sampler's batch says."""
    about = {"person": "photo", "family": "own", "photo": "photos/0.png"}
    rows: Rows = [
        {"file": f"images/{number:02d}-{seed}.png", "seed": seed, "prompt": prompt, **about}
        for number, prompt in enumerate(own.prompts)
        for seed in own.seeds
    ]
    photos = [to_picture(photo.cpu()) for photo in own.photos]
    for number, photo in enumerate(photos):
        run.save_image(f"photos/{number}.png", photo, {"photo": own.paths[number]})
    how = {name: own.settings[name] for name in ("photo", "sampler", "method")}
    for batch, images in drawn(person, rows, lambda row: row["seed"]):
        for row, image in zip(batch, images, strict=True):
            run.save_image(row["file"], to_picture(image), {"prompt": row["prompt"], "seed": row["seed"], **how})
    pictures: list[Any] = [*photos, *(run.path(row["file"]) for row in rows)]
    captions = ["photo"] * len(photos) + [row["prompt"] for row in rows]
    save_png(run.path("sheet.png"), contact_sheet(pictures, captions, columns=len(own.seeds) + 1), {"rows": len(rows)})
    write_csv(run.path("images.csv"), rows)
    return rows


if __name__ == "__main__":
    main()
