"""What every command shares: composition, the closed schema, built things, and errors in one sentence."""

import difflib
import functools
import logging
import os
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException, InstantiationException, MissingConfigException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException
from tqdm import tqdm

from src import schema, signals, targets
from src.words import GATHERED, for_hydra, names_files

PACKAGE = Path(__file__).parent
CONF = PACKAGE.parent / "conf"
ANEW = "nothing half-made is kept; the same command begins anew"
DRAWN = "every person who was learned and every image is kept in {runs}"  # what a stopped study keeps
LONGEST_WORD, LONGEST = 1_000, 20_000  # letters of a message: a prompt of 200 kB is not told in full
_QUIET = ("pytorch_lightning", "lightning", "lightning.pytorch", "transformers", "diffusers", "open_clip")

targets.refuse_builders()
targets.watch_hydra()
OmegaConf.register_new_resolver("package", lambda path: str(PACKAGE / path), replace=True)


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
                schema.check(cfg, name)
                check_targets(cfg)
                ending.kept = _kept(cfg, keeps)
                main(cfg)
            except (ValueError, OSError, OmegaConfBaseException, InstantiationException) as error:
                cause = _cause(error)
                if isinstance(cause, InstantiationException):
                    raise
                for bar in list(getattr(tqdm, "_instances", ())):  # what is left open would be shown behind the error
                    bar.close()
                sys.exit(f"error: {one_line(cause)}")

        def run() -> None:
            os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra hands errors on to us
            _quieten()
            try:
                sys.argv[1:] = typed(name, sys.argv[1:])
                with signals.stoppable(ending):
                    hydra.main(version_base="1.3", config_path=str(CONF), config_name=name)(checked)()
            except (ValueError, HydraException, OmegaConfBaseException) as error:
                sys.exit(f"error: {_composition(error, name)}")

        return run

    return wrap


def _kept(cfg: DictConfig, keeps: str) -> str:
    """What there is of a command that was stopped, and how to go on."""
    return f"{keeps.format_map(cfg)}; the same command goes on from there" if keeps else ANEW


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


def composed(name: str, arguments: Sequence[str]) -> DictConfig:
    """What a command line asks of a command, checked as far as that goes without reading a library.

    Raises:
        ValueError: naming the setting, its value, and what is allowed.
    """
    words = typed(name, arguments)
    try:
        with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
            cfg = hydra.compose(name, words)
        check_overrides(cfg, words)
        schema.check(cfg, name)
    except (HydraException, OmegaConfBaseException) as error:
        raise ValueError(_composition(error, name)) from error
    return cfg


def typed(name: str, arguments: Sequence[str]) -> list[str]:
    """The words of a command line as Hydra is to read them. ValueError for what no setting or choice can be."""
    targets.check_arguments(list(arguments))
    words = for_hydra(arguments, functools.partial(schema.kind_of, command=name), GATHERED.get(name))
    for word in words:
        group, _, value = word.lstrip("+~").partition("=")
        choices = sorted(path.stem for path in (CONF / group.partition("@")[0]).glob("*.yaml"))
        if word.startswith("~"):
            raise ValueError(f"{word}: no setting is deleted; write {group}=null where there may be none")
        if choices and not names_files(value):
            raise ValueError(f"{group} ({schema.shown(value)}) must be one of {', '.join(choices)}")
    return words


def compose(name: str, overrides: Sequence[str]) -> DictConfig:
    """The configuration of another command, inside a command. ValueError as for a command line."""
    cfg = hydra.compose(name, list(overrides))
    check_overrides(cfg, overrides)
    schema.check(cfg, name)
    check_targets(cfg)
    return cfg


def _quieten() -> None:
    warnings.filterwarnings("ignore")
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.ERROR)


def _cause(error: BaseException) -> BaseException:
    """What went wrong inside the thing that Hydra was building, if it is an error that a user can mend."""
    while isinstance(error, InstantiationException) and isinstance(
        error.__cause__, ValueError | OSError | HydraException
    ):
        error = error.__cause__
    return error


def one_line(error: BaseException) -> str:
    """What an error says, long words and endless lists shortened; of the system's own errors, about which path."""
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"{schema.shown(error.filename)}: {error.strerror}; give another path"
    words = " ".join(word if len(word) <= LONGEST_WORD else f"{word[:40]}..." for word in str(error).split())
    return words if len(words) <= LONGEST else f"{words[:LONGEST]}..."


def _composition(error: BaseException, name: str) -> str:
    """What is wrong with the command line: an unknown choice, an unknown setting, or whatever else Hydra says."""
    if isinstance(error, MissingConfigException) and error.options:
        group, _, choice = str(error.missing_cfg_file).rpartition("/")
        return f"{group}={choice}: there is no such {group}; choose one of {', '.join(error.options)}"
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, ConfigKeyError | ConfigAttributeError):
        cause = cause.__cause__
    if cause is None:
        return one_line(error)
    with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
        return _unknown(str(cause.full_key), settings(hydra.compose(name)))


def _unknown(setting: str, known: list[str]) -> str:
    near = difflib.get_close_matches(setting, known, n=1, cutoff=0.3)
    return f"there is no setting {setting!r}" + (f"; the nearest is {near[0]!r}" if near else "")


def check_overrides(cfg: DictConfig, overrides: Iterable[str]) -> None:
    """Refuse `+name=value`: it would add a setting that nothing reads. `+experiment=...` chooses a file.

    Raises:
        ValueError: naming the setting and the nearest that exists.
    """
    for override in overrides:
        name = override.split("=", 1)[0]
        if name.startswith("+") and name != "+experiment":
            known = [setting for setting in settings(cfg) if setting != name.lstrip("+")]
            raise ValueError(f"{override}: {_unknown(name.lstrip('+'), known)} (settings are changed without a '+')")


def settings(cfg: DictConfig) -> list[str]:
    """Dotted names of all settings."""
    return list(_names(OmegaConf.to_container(cfg)))


def _names(node: Any, prefix: str = "") -> Iterator[str]:
    for key, value in node.items():
        yield f"{prefix}{key}"
        if isinstance(value, dict):
            yield from _names(value, f"{prefix}{key}.")


def check_targets(cfg: DictConfig) -> None:
    """Every `_target_` of the resolved configuration is allowed, exists, and takes the settings beside it.

    Raises:
        ValueError: naming the place and what does not fit.
    """
    targets.check_targets(targets.resolved(cfg))


def build(node: Any, **more: Any) -> Any:
    """Instantiate a node whose targets are allowed; plain lists and dicts come out as Python's own.

    What is checked is what is built: the node after resolution.

    Raises:
        ValueError: naming a `_target_` that is not allowed or a setting that it doesn't take.
    """
    settled = targets.resolved(OmegaConf.create(node) if isinstance(node, dict | list) else node)
    targets.check_targets(settled)
    return instantiate(settled, _convert_="all", **more)


def build_or_missing(node: Any, **more: Any) -> Any:
    """Like `build`, but the FileNotFoundError itself if a file is missing: for lists of what is here."""
    try:
        return build(node, **more)
    except InstantiationException as error:
        if isinstance(_cause(error), FileNotFoundError):
            return _cause(error)
        raise


def get_target(node: Any) -> Callable[..., Any]:
    """What a node builds. ValueError for a target that is not allowed."""
    return targets.allowed(str(node["_target_"]), "judges")


def plain(node: Any) -> Any:
    """Resolved plain data; what is no node (null, a number) stays as it is."""
    return OmegaConf.to_container(node, resolve=True) if OmegaConf.is_config(node) else node


def portable(value: Any) -> Any:
    """Plain data in which paths inside this package read the same on every machine."""
    if isinstance(value, dict):
        return {key: portable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [portable(item) for item in value]
    return value.replace(str(PACKAGE), "src") if isinstance(value, str) else value


# where and how fast something is computed, and where it is kept: no result depends on it beyond rounding
INDIFFERENT = (
    "device",
    "accelerator",
    "compile",
    "offload",
    "gradient_checkpointing",
    "preflight_only",
    "runs",
    "logger",
)


def deciding(value: Any, name: str = "") -> Any:
    """Plain data without the settings that decide no result, to be digested."""
    if isinstance(value, list):
        return [deciding(item, name) for item in value]
    if not isinstance(value, dict):
        return value
    spare = {*INDIFFERENT, *(("batch",) if name == "sampler" else ()), *(() if value.get("tf32") else ("tf32",))}
    return {key: deciding(item, str(key)) for key, item in value.items() if key not in spare}


def listed_shares(cfg: DictConfig) -> list[float] | None:
    """method.shares, or None. ValueError unless it is a list of numbers."""
    shares = plain(cfg.method)["shares"]
    if shares is not None and not (isinstance(shares, list) and all(isinstance(each, int | float) for each in shares)):
        raise ValueError(f"method.shares ({shares}) must be a list of numbers, one a photo, such as [1,3]")
    return shares


def count(cfg: DictConfig, name: str, most: int | None = None) -> int:
    """A whole number of at least 1, and at most what there is. ValueError names it."""
    value = cfg[name]
    if not isinstance(value, int) or value < 1 or (most is not None and value > most):
        raise ValueError(f"{name} ({value}) must be a whole number from 1" + (f" to {most}" if most else ""))
    return value
