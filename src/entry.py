"""What every command shares: composition, the closed schema, built things, and errors in one sentence."""

import difflib
import functools
import inspect
import json
import logging
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hydra
from huggingface_hub import try_to_load_from_cache
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.utils import get_method, instantiate
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

PACKAGE = Path(__file__).parent
ALLOWED_TARGETS = ("src.", "torch.optim.", "builtins.list")  # what a configuration may build
_QUIET = ("pytorch_lightning", "lightning", "lightning.pytorch", "transformers", "diffusers", "open_clip")

OmegaConf.register_new_resolver("package", lambda path: str(PACKAGE / path), replace=True)


def command(name: str) -> Callable[[Callable[[DictConfig], None]], Callable[[], None]]:
    """Make `main(cfg)` a command that composes conf/<name>.yaml. An error ends it with one sentence and status 1."""

    def wrap(main: Callable[[DictConfig], None]) -> Callable[[], None]:
        @functools.wraps(main)
        def checked(cfg: DictConfig) -> None:
            check_overrides(cfg, HydraConfig.get().overrides.task)
            check_targets(cfg)
            main(cfg)

        def run() -> None:
            os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra hands errors on to us
            _quieten()
            try:
                hydra.main(version_base="1.3", config_path="../conf", config_name=name)(checked)()
            except (ValueError, OSError, HydraException, OmegaConfBaseException) as error:
                sys.exit(f"error: {_sentence(error)}")

        return run

    return wrap


def _quieten() -> None:
    warnings.filterwarnings("ignore")
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.ERROR)


def _sentence(error: BaseException) -> str:
    """The innermost message, on one line."""
    while error.__cause__ is not None and isinstance(error, HydraException):
        error = error.__cause__
    return " ".join(str(error).split())


def check_overrides(cfg: DictConfig, overrides: ListConfig | list[str]) -> None:
    """Refuse `+name=value`: it would add a setting that nothing reads. `+experiment=...` chooses a file.

    Raises:
        ValueError: naming the setting and the nearest that exists.
    """
    for override in overrides:
        name = override.split("=", 1)[0]
        if name.startswith("+") and name != "+experiment":
            known = list(settings(cfg))
            near = difflib.get_close_matches(name.lstrip("+"), known, n=1, cutoff=0.3)
            raise ValueError(
                f"{override}: there is no setting {name.lstrip('+')!r}"
                + (f"; the nearest is {near[0]!r}" if near else "")
                + " (settings are changed without a '+')"
            )


def settings(cfg: Any, prefix: str = "") -> Iterator[str]:
    """Dotted names of all settings."""
    for key in cfg:
        name = f"{prefix}{key}"
        yield name
        if not OmegaConf.is_missing(cfg, key) and OmegaConf.is_dict(cfg._get_node(key)) and cfg[key] is not None:
            yield from settings(cfg[key], f"{name}.")


def check_targets(cfg: Any, where: str = "") -> None:
    """Every `_target_` is allowed, exists, and takes the settings beside it.

    Raises:
        ValueError: naming the place and what does not fit.
    """
    if OmegaConf.is_list(cfg):
        for number, item in enumerate(cfg._iter_ex(resolve=False)):
            check_targets(item, f"{where}[{number}]")
    if not OmegaConf.is_dict(cfg) or cfg is None or cfg._is_none() or cfg._is_missing():
        return
    for key in cfg:
        check_targets(cfg._get_node(key), f"{where}.{key}".lstrip("."))
    target = cfg._get_node("_target_")
    if target is not None:
        _check_call(str(target._value()), {key for key in cfg if not str(key).startswith("_")}, where)


def _check_call(target: str, given: set[Any], where: str) -> None:
    if not target.startswith(ALLOWED_TARGETS):
        raise ValueError(
            f"{where}: _target_ {target!r} is not allowed: it must begin with {' or '.join(ALLOWED_TARGETS)}"
        )
    takes = inspect.signature(get_method(target) if "." in target else target).parameters
    open_ended = any(p.kind is p.VAR_KEYWORD for p in takes.values())
    for name in given - set(takes) if not open_ended else set():
        near = difflib.get_close_matches(str(name), list(takes), n=1, cutoff=0.3)
        raise ValueError(
            f"{where}.{name}: {target} takes no {name!r}" + (f"; the nearest is {near[0]!r}" if near else "")
        )


def build(node: Any, **more: Any) -> Any:
    """Instantiate a checked node; plain lists and dicts come out as Python's own."""
    return instantiate(node, _convert_="all", **more)


def plain(cfg: Any) -> Any:
    """Resolved plain data."""
    return OmegaConf.to_container(cfg, resolve=True)


def manifest_digests(folder: str) -> dict[str, str]:
    """File -> SHA-256 of a shipped weights folder."""
    return {
        name: entry["sha256"]
        for name, entry in json.loads((Path(folder) / "manifest.json").read_text())["files"].items()
    }


def check_needs(cfg: DictConfig) -> None:
    """Stop before anything is loaded if the world needs something that is not here (`world.needs`).

    Raises:
        FileNotFoundError: listing everything that is missing, where to get it, and the embedded alternative.
    """
    missing = [need for need in plain(cfg.world.needs) if not _is_here(need)]
    if missing:
        lines = "; ".join(f"{need['what']} ({need['place']}): {need['remedy']}" for need in missing)
        raise FileNotFoundError(f"world {cfg.world.name} lacks {len(missing)}: {lines}; {cfg.world.alternative}")


def _is_here(need: dict[str, str]) -> bool:
    """A path, or a hub id whose file was downloaded before."""
    if need.get("hub_file"):
        return Path(need["place"]).is_dir() or isinstance(try_to_load_from_cache(need["place"], need["hub_file"]), str)
    return Path(need["place"]).exists()
