"""What a configuration may build: checked as it stands after resolution, ours and Hydra's own part of it."""

import difflib
import functools
import inspect
from collections.abc import Callable
from typing import Any

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.errors import HydraException
from hydra.utils import get_method
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import InterpolationResolutionError

# what a configuration may build; a configuration that comes with weights is read as numbers and never built from
ALLOWED_TARGETS = (
    "src.data.",
    "src.models.",
    "src.metrics.",
    "src.learning.",
    "src.methods.",
    "src.sampling.Shortcuts",
    "src.tiny_world.photos.",
    "torch.optim.",
    "builtins.list",
)
# the launchers that docs/training.md names, and what Hydra itself brings along
LAUNCHERS = (
    "hydra._internal.core_plugins.basic_launcher.BasicLauncher",
    "hydra_plugins.hydra_joblib_launcher.joblib_launcher.JoblibLauncher",
    "hydra_plugins.hydra_submitit_launcher.submitit_launcher.LocalLauncher",
    "hydra_plugins.hydra_submitit_launcher.submitit_launcher.SlurmLauncher",
    "hydra_plugins.hydra_ray_launcher.ray_launcher.RayLauncher",
)
SWEEPERS = ("hydra._internal.core_plugins.basic_sweeper.BasicSweeper",)
BUILDERS = ("oc.create", "oc.decode", "oc.select")  # each can make a node, targets included, out of its words
RERUN = "--experimental-rerun"  # unpickles a configuration


def refuse_builders() -> None:
    """From now on no resolver makes settings out of words: they end as an interpolation that cannot be resolved."""
    for name in BUILDERS:
        OmegaConf.register_new_resolver(name, functools.partial(_refuse, name), replace=True)


class Refused(ValueError):
    """A resolver that builds was asked."""


def _refuse(name: str, *words: Any) -> None:
    why = f"${{{name}:...}} is not allowed, for it builds settings out of words: write the settings themselves"
    _refused.append(why)
    raise Refused(why)


_refused: list[str] = []  # OmegaConf swallows what a resolver raises while configurations are merged


def watch_hydra() -> None:
    """Check Hydra's part of every configuration once it is composed: Hydra builds from it before a command begins.

    Hydra 1.3 has no hook between composing and building, so its loader is wrapped: launched jobs come through it, too.
    """
    load = ConfigLoaderImpl.load_configuration

    @functools.wraps(load)
    def checked(*args: Any, **kwargs: Any) -> DictConfig:
        _refused.clear()
        cfg = load(*args, **kwargs)
        if _refused:
            raise HydraException(_refused[0])
        check_hydra(cfg)
        return cfg

    ConfigLoaderImpl.load_configuration = checked  # type: ignore[method-assign]


def check_arguments(arguments: list[str]) -> None:
    """ValueError for the option of Hydra that unpickles a file, however it is shortened."""
    for argument in arguments:
        option = argument.partition("=")[0]
        if len(option) > 2 and RERUN.startswith(option):
            raise ValueError(f"{option} is not allowed, for it runs what a file holds: give the settings themselves")


def check_hydra(cfg: DictConfig) -> None:
    """HydraException for whatever Hydra would build, but the launchers of docs/training.md and its own sweeper."""
    launcher, sweeper = (OmegaConf.select(cfg, f"hydra.{name}") for name in ("launcher", "sweeper"))
    for name, node, allowed in (("launcher", launcher, LAUNCHERS), ("sweeper", sweeper, SWEEPERS)):
        _check_hydras(node, f"hydra.{name}", allowed)
    for name in set(cfg.hydra) - {"launcher", "sweeper", "overrides"}:  # overrides: the words of the command line
        _check_hydras(_value(cfg.hydra, name), f"hydra.{name}", ())
    for name in ("job_logging", "hydra_logging"):
        if OmegaConf.select(cfg, f"hydra.{name}.root") is not None:
            raise HydraException(
                f"hydra.{name} is not allowed, for a logger's settings can name a target: leave it out"
            )
    copied = OmegaConf.select(cfg, "hydra.job.env_copy") or []
    for name in OmegaConf.select(cfg, "hydra.job.env_set") or {}:
        if name not in copied:
            raise HydraException(f"hydra.job.env_set.{name} is not allowed: export {name} in the shell")


def _value(node: Any, key: Any) -> Any:
    """A value after resolution; None where that is not possible (yet): then it is no target."""
    try:
        return None if OmegaConf.is_missing(node, key) else node[key]
    except InterpolationResolutionError as error:
        if isinstance(error.__cause__, Refused):
            raise HydraException(str(error.__cause__)) from error
        return None


def _check_hydras(node: Any, where: str, allowed: tuple[str, ...]) -> None:
    """`allowed`: the targets of the node itself; none is allowed within it."""
    if not OmegaConf.is_config(node):
        return
    keys = list(node.keys()) if OmegaConf.is_dict(node) else range(len(node))
    if "_target_" in keys and str(_value(node, "_target_")) not in allowed:
        raise HydraException(
            f"{where}: _target_ {str(_value(node, '_target_'))!r} is not allowed: of hydra's settings only a launcher "
            "may be chosen, as hydra/launcher=joblib, submitit_local, submitit_slurm, ray or basic"
        )
    for key in keys:
        _check_hydras(_value(node, key), f"{where}.{key}", ())


def check_targets(node: Any, where: str = "") -> None:
    """Every `_target_` of plain, resolved data is allowed, exists, and takes the settings beside it.

    ValueError names the place and what does not fit.
    """
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in items:
        check_targets(value, f"{where}.{key}".lstrip("."))
    if isinstance(node, dict) and "_target_" in node:
        _check_call(str(node["_target_"]), {str(key) for key in node if not str(key).startswith("_")}, where)


def _check_call(target: str, given: set[str], where: str) -> None:
    takes = inspect.signature(allowed(target, where)).parameters
    open_ended = any(p.kind is p.VAR_KEYWORD for p in takes.values())
    for name in given - set(takes) if not open_ended else set():
        near = difflib.get_close_matches(name, list(takes), n=1, cutoff=0.3)
        raise ValueError(
            f"{where}.{name}: {target} takes no {name!r}" + (f"; the nearest is {near[0]!r}" if near else "")
        )


def allowed(target: str, where: str) -> Callable[..., Any]:
    """What a `_target_` names, if that is at home in an allowed place: `src.data.x.os.system` begins well, too.

    Neither what begins with an underscore, nor a method without its object, which would take any object for its own.
    """
    public = target.startswith(ALLOWED_TARGETS) and "._" not in target
    try:
        found = get_method(target) if public else None
    except ImportError as error:
        said = " ".join(str(error.__cause__ or error).split())
        raise ValueError(f"{where}: _target_ {target!r} is not found ({said}): mend the name") from error
    name = getattr(found, "__qualname__", "")
    home = f"{getattr(found, '__module__', '')}.{name}"
    if found is None or not home.startswith(ALLOWED_TARGETS) or (inspect.isfunction(found) and "." in name):
        raise ValueError(
            f"{where}: _target_ {target!r} is not allowed: it must begin with {' or '.join(ALLOWED_TARGETS)}, and be "
            "defined there"
        )
    return found
