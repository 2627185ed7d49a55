"""Pre-train PromptNet, or E4T, on photos alone: `python -m src.train +experiment=tiny_pretrain`."""

from omegaconf import DictConfig

from src.harness.command import command
from src.harness.device import begun, set_tf32
from src.harness.preflight.training import check_training
from src.harness.pretraining import name_of, trained
from src.learning.trainer import is_follower


@command("train", keeps="every checkpoint is kept in {runs}")
def main(cfg: DictConfig) -> None:
    if is_follower():
        set_tf32(bool(cfg.tf32))
    else:
        begun(cfg)
    if cfg.preflight_only:
        return check_training(cfg)
    run = trained(cfg)
    if not is_follower():
        name = name_of(cfg)
        print(f"validation: {run.summary()['validation']}\n{name}: {run.made(name.lower())}", flush=True)


if __name__ == "__main__":
    main()
