"""Every setting of a configuration, and every value that a study gives to one, held against the schema."""

from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any

from omegaconf import MISSING, DictConfig, OmegaConf
from omegaconf.errors import InterpolationResolutionError

from src.harness.settings.errors import shown
from src.harness.settings.kinds import ANY
from src.harness.settings.schema import kind_of


def check(cfg: DictConfig, command: str) -> None:
    """Every setting of a command, and every value that a study gives to one, is of its kind and in its range.

    ValueError names the first setting that is not, its value, and what is allowed.
    """
    settings = _resolved(cfg)
    for name, value in chain(_flat(settings, command), _changes(settings)):
        check_value(name, value, command)


def _resolved(node: DictConfig) -> dict[Any, Any]:
    """Plain data, without what refers to a setting that is not there: whoever reads that says so."""
    found = {}
    for key in node:
        try:
            value = MISSING if OmegaConf.is_missing(node, key) else node[key]
            plain = OmegaConf.to_container(value, resolve=True) if OmegaConf.is_list(value) else value
            found[key] = _resolved(value) if isinstance(value, DictConfig) else plain
        except InterpolationResolutionError:
            continue
    return found


def check_value(name: str, value: Any, command: str = "") -> None:
    """ValueError unless the value is one that this setting may have."""
    kind = kind_of(name, command)
    if kind is not None and not kind.fits(value):
        raise ValueError(f"{name} ({shown(value)}) must be {kind.words}")


def _flat(node: Mapping[Any, Any], command: str, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted names and values, groups before what is in them and behind plain settings, which groups refer to."""
    for key, value in sorted(node.items(), key=lambda item: isinstance(item[1], dict)):
        name = f"{prefix}{key}"
        yield name, value
        if isinstance(value, dict) and kind_of(name, command) is not ANY:
            yield from _flat(value, command, f"{name}.")


def _changes(settings: Mapping[Any, Any]) -> Iterator[tuple[str, Any]]:
    """What ablations, sweeps and grids give to settings of other names."""
    sweep, ablation = settings.get("sweep"), settings.get("ablation")
    if isinstance(ablation, dict) and isinstance(ablation.get("change"), dict):
        yield from ablation["change"].items()
    if isinstance(sweep, dict):
        yield from ((str(sweep["setting"]), value) for value in sweep["values"])
        for line in sweep["lines"].values() if isinstance(sweep["lines"], dict) else ():
            yield from line.items() if isinstance(line, dict) else ()
    for name, values in (settings.get("grid") or {}).items():
        yield from ((str(name), value) for value in values)
