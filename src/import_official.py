"""The authors' released PromptNet, made ours: `python -m src.import_official folder=DOWNLOADED out=NEW`.

Their folder holds a pickle, which is read with weights_only=True: it can bring tensors and run nothing.
"""

from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from src.harness.command import command
from src.harness.device import begun, moved
from src.models.promptnet import PromptNet


@command("import_official")
def main(cfg: DictConfig) -> None:
    for name in ("folder", "out"):
        if OmegaConf.is_missing(cfg, name):
            raise ValueError(f"{name} is not given: write folder=THE_AUTHORS_FOLDER out=NEW_FOLDER")
    out = Path(cfg.out).expanduser()
    if out.exists():
        raise ValueError(f"{out} exists: delete it, or give another out")
    device = begun(cfg)
    if cfg.preflight_only:
        return print(f"{'found' if Path(cfg.folder).expanduser().is_dir() else 'MISSING'} {cfg.folder}", flush=True)
    net = moved(PromptNet.from_official(Path(cfg.folder).expanduser()), device)
    net.save(out)
    millions = sum(p.numel() for p in net.parameters()) / 1e6
    print(
        f"{millions:.1f} M parameters, {net.num_pseudo_tokens} pseudo-token(s) of width {net.config['prompt_channel']}"
    )
    print(f"PromptNet: {out}\nuse it with promptnet=sd2 world.promptnet={out}", flush=True)


if __name__ == "__main__":
    main()
