"""What every command is: composed, checked, and ended by one sentence where something is wrong."""

import functools
import logging
import os
import sys
import tempfile
import warnings
from collections.abc import Callable, Sequence

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException, InstantiationException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException
from tqdm import tqdm

from src.harness import signals
from src.harness.build import check_targets
from src.harness.compose import CONF, check_overrides, composed, composition_error, typed
from src.harness.settings import check
from src.harness.settings.errors import FAULTS, cause_of, one_line

ANEW = "nothing half-made is kept; the same command begins anew"
DRAWN = "every person who was learned and every image is kept in {runs}"  # what a stopped study keeps
_QUIET = ("pytorch_lightning", "lightning", "lightning.pytorch", "transformers", "diffusers", "open_clip")


def command(name: str, keeps: str = "") -> Callable[[Callable[[DictConfig], None]], Callable[[], None]]:
    """Make `main(cfg)` a command that composes conf/<name>.yaml. An error ends it with one sentence and status 1.

    keeps: what is kept, and in which {setting}, when SIGTERM (status 143) or Ctrl-C (130) stops it; "": nothing is.
    """

    def wrap(main: Callable[[DictConfig], None]) -> Callable[[], None]:
        ending = signals.Ending()

        @functools.wraps(main)
        def checked(cfg: DictConfig) -> None:
            try:
                check_overrides(cfg, HydraConfig.get().overrides.task)
                check.check(cfg, name)
                check_targets(cfg)
                ending.kept = f"{keeps.format_map(cfg)}; the same command goes on from there" if keeps else ANEW
                main(cfg)
            except FAULTS as error:
                cause = cause_of(error)
                if isinstance(cause, InstantiationException):
                    raise
                for bar in list(getattr(tqdm, "_instances", ())):  # what is left open would be shown behind the error
                    bar.close()
                sys.exit(f"error: {one_line(cause)}")

        def run() -> None:
            os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra hands errors on to us
            quiet()
            try:
                sys.argv[1:] = typed(name, sys.argv[1:])
                with signals.stoppable(ending):
                    hydra.main(version_base="1.3", config_path=str(CONF), config_name=name)(checked)()
            except (ValueError, HydraException, OmegaConfBaseException) as error:
                sys.exit(f"error: {composition_error(error, name, sys.argv[1:])}")

        return run

    return wrap


def quiet() -> None:
    """Libraries say what went wrong, and nothing else."""
    warnings.filterwarnings("ignore")
    for library in _QUIET:
        logging.getLogger(library).setLevel(logging.ERROR)


def refuse_early(module: str, arguments: Sequence[str]) -> None:
    """End `python -m src.NAME ...` in one sentence if what was typed is wrong, before NAME and its libraries are read.

    Hydra's own options, such as --help and --multirun, are left to Hydra.
    """
    name, words = module.rpartition("src.")[2], list(arguments)
    if name == "bench" and words:
        name = f"bench_{words.pop(0)}"
    if (CONF / f"{name}.yaml").is_file() and not any(word.startswith("-") for word in words):
        try:
            tempfile.gettempdir()  # libraries fail without one while they are read
            composed(name, words)
        except FileNotFoundError as error:
            sys.exit(
                f"error: no temporary file can be written ({error.strerror}): free some space, or set TMPDIR=FOLDER"
            )
        except ValueError as error:
            sys.exit(f"error: {one_line(error)}")
