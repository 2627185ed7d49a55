"""Composition: what a command line asks for, as one configuration that its schema allows."""

import difflib
import functools
from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException, MissingConfigException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException

from src.harness.build import check_targets
from src.harness.settings import check, schema, targets
from src.harness.settings.errors import one_line, shown
from src.harness.settings.words import GATHERED, for_hydra, names_files

PACKAGE = Path(__file__).parents[1]
CONF = PACKAGE.parent / "conf"

targets.refuse_builders()
targets.watch_hydra()
OmegaConf.register_new_resolver("package", lambda path: str(PACKAGE / path), replace=True)


def composed(name: str, arguments: Sequence[str]) -> DictConfig:
    """What a command line asks of a command, checked as far as that goes without reading a library.

    ValueError names the setting, its value, and what is allowed.
    """
    words = typed(name, arguments)
    try:
        with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
            cfg = hydra.compose(name, words)
        check_overrides(cfg, words)
        check.check(cfg, name)
    except (HydraException, OmegaConfBaseException) as error:
        raise ValueError(composition_error(error, name, words)) from error
    return cfg


def typed(name: str, arguments: Sequence[str]) -> list[str]:
    """The words of a command line as Hydra is to read them. ValueError for what no setting or choice can be."""
    targets.check_arguments(list(arguments))
    words = for_hydra(arguments, functools.partial(schema.kind_of, command=name), GATHERED.get(name))
    for word in words:
        group, _, value = word.lstrip("+~").partition("=")
        choices = _choices(group)
        if word.startswith("~"):
            raise ValueError(f"{word}: no setting is deleted; write {group}=null where there may be none")
        if choices and not names_files(value):
            raise ValueError(f"{group} ({shown(value)}) must be one of {', '.join(choices)}")
    return words


def _choices(group: str) -> list[str]:
    """The files of a group of configurations; none for a setting that is no group."""
    return sorted(path.stem for path in (CONF / group.partition("@")[0]).glob("*.yaml"))


def _chooses(word: str) -> bool:
    """Whether a word chooses one file of a group, or says where there are more."""
    group, _, value = word.lstrip("+").partition("=")
    return group == "hydra.searchpath" or (bool(_choices(group)) and "," not in value)


def compose(name: str, overrides: Sequence[str]) -> DictConfig:
    """The configuration of another command, inside a command. ValueError as for a command line."""
    try:
        cfg = hydra.compose(name, list(overrides))
    except (HydraException, OmegaConfBaseException) as error:
        raise ValueError(composition_error(error, name, overrides)) from error
    check_overrides(cfg, overrides)
    check.check(cfg, name)
    check_targets(cfg)
    return cfg


def composition_error(error: BaseException, name: str, words: Sequence[str] = ()) -> str:
    """What is wrong with the command line: an unknown choice, an unknown setting, or whatever else Hydra says.

    words: of which those that choose a file decide which settings there are.
    """
    if isinstance(error, MissingConfigException) and error.options:
        group, _, choice = str(error.missing_cfg_file).rpartition("/")
        return f"{group}={choice}: there is no such {group}; choose one of {', '.join(error.options)}"
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, ConfigKeyError | ConfigAttributeError):
        cause = cause.__cause__
    if cause is None:
        return one_line(error)
    begun = GlobalHydra.instance().is_initialized()  # inside a command, which composes another
    with nullcontext() if begun else hydra.initialize_config_dir(str(CONF), version_base="1.3"):
        return _unknown(str(cause.full_key), settings(hydra.compose(name, [*filter(_chooses, words)])))


def _unknown(setting: str, known: list[str]) -> str:
    near = difflib.get_close_matches(setting, known, n=1, cutoff=0.3)
    return f"there is no setting {setting!r}" + (f"; the nearest is {near[0]!r}" if near else "")


def check_overrides(cfg: DictConfig, overrides: Iterable[str]) -> None:
    """ValueError for `+name=value`, which would add a setting that nothing reads; `+experiment=...` chooses a file."""
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
