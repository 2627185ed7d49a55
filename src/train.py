"""Pre-train PromptNet on photos alone: `python -m src.train +experiment=tiny_pretrain`."""

from omegaconf import DictConfig

from src.harness.command import command
from src.harness.device import begun, set_tf32
from src.harness.preflight.training import check_training
from src.harness.pretraining import trained_promptnet
from src.learning.trainer import is_follower


@command("train", keeps="every checkpoint is kept in {runs}")
def main(cfg: DictConfig) -> None:
    if is_follower():
        set_tf32(bool(cfg.tf32))
    else:
        begun(cfg)
    if cfg.preflight_only:
        return check_training(cfg)
    run = trained_promptnet(cfg)
    if not is_follower():
        print(f"validation: {run.summary()['validation']}\nPromptNet: {run.made('promptnet')}", flush=True)


if __name__ == "__main__":
    main()
