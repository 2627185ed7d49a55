"""Photos, looked at, cut and resized once: `python -m src.prepare_data world=sd2 out=data/ffhq512 latents=true`."""

from pathlib import Path

from omegaconf import DictConfig

from src.harness.assembly import weights_of
from src.harness.build import build, count
from src.harness.command import command
from src.harness.device import begun, moved
from src.harness.preflight.needs import check, needs_of, table
from src.harness.pretraining import encode

PARTS = ("train", "validation")


@command("prepare_data", keeps="whole shards (then shards=false) and every latent are kept in {out}")
def main(cfg: DictConfig) -> None:
    device = begun(cfg)
    needs = needs_of(cfg, "train")[0 if cfg.latents else 1 :]  # the first is the base, which encodes latents alone
    if cfg.preflight_only:
        print(table(needs), flush=True)
        return check(cfg, needs)
    check(cfg, needs)
    batch, threads = count(cfg, "batch"), count(cfg, "threads")
    out = Path(cfg.out).expanduser()
    taken = [out / part / "shards" for part in PARTS if cfg.shards and (out / part / "shards").exists()]
    if taken:
        raise ValueError(f"{taken[0]} exists: delete it, give another out, or write shards=false")
    photos = {part: build(cfg.data[part]) for part in PARTS}
    for part, of_part in photos.items():
        print(f"{part:<11}{len(of_part)} photos", flush=True)
        if cfg.shards:
            from src.data.shards import write_shards  # litdata, which nothing else needs

            write_shards(of_part, out / part / "shards", threads=threads)
            print(f"{'shards':<11}{out / part / 'shards'}", flush=True)
    if cfg.latents:
        weights_of(cfg, "base")  # shipped ones are checked
        base = moved(build(cfg.base), device)
        for part, of_part in photos.items():
            encode(base, of_part, out / part / "latents", batch)
            print(f"{'latents':<11}{out / part / 'latents'}", flush=True)


if __name__ == "__main__":
    main()
