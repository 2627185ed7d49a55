"""From a node of a configuration to the thing that it names."""

from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import InterpolationResolutionError

from src.harness.settings import targets
from src.harness.settings.errors import cause_of


def check_targets(cfg: DictConfig) -> None:
    """As `targets.check_targets`, of a configuration as it stands after resolution."""
    targets.check_targets(plain(cfg))


def build(node: Any, **more: Any) -> Any:
    """Instantiate a node whose targets are allowed; plain lists and dicts come out as Python's own.

    What is checked is what is built: the node after resolution. ValueError names a `_target_` that is not allowed or a
    setting that it doesn't take.
    """
    settled = plain(OmegaConf.create(node) if isinstance(node, dict | list) else node)
    targets.check_targets(settled)
    return instantiate(settled, _convert_="all", **more)


def build_or_missing(node: Any, **more: Any) -> Any:
    """Like `build`, but the FileNotFoundError itself if a file is missing: for lists of what is here."""
    try:
        return build(node, **more)
    except InstantiationException as error:
        if isinstance(cause_of(error), FileNotFoundError):
            return cause_of(error)
        raise


def plain(node: Any) -> Any:
    """Resolved plain data; what is no node (null, a number) stays as it is. ValueError for a resolver that builds."""
    try:
        return OmegaConf.to_container(node, resolve=True) if OmegaConf.is_config(node) else node
    except InterpolationResolutionError as error:
        raise error.__cause__ if isinstance(error.__cause__, targets.Refused) else error from None


def count(cfg: DictConfig, name: str, most: int | None = None) -> int:
    """A whole number of at least 1, and at most what there is. ValueError names it."""
    value = cfg[name]
    if not isinstance(value, int) or value < 1 or (most is not None and value > most):
        raise ValueError(f"{name} ({value}) must be a whole number from 1" + (f" to {most}" if most else ""))
    return value
