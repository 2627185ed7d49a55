"""Parts of a model from a folder in diffusers format, or from the hub: whole, with every tensor, or not at all."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import Tensor
from transformers.utils import logging as transformers_logging

from src.files.whole import sha256_of

transformers_logging.disable_progress_bar()  # one bar for each of five parts tells nobody anything


def check_sha256(folder: Path, digests: Mapping[str, str]) -> None:
    """Raise FileNotFoundError or ValueError unless each file of the folder has its SHA-256 (hexadecimal)."""
    for name, digest in digests.items():
        if not (folder / name).is_file():
            raise FileNotFoundError(f"{folder / name} is missing; restore it from the repository or build it again")
        actual = sha256_of(folder / name)
        if actual != digest:
            raise ValueError(
                f"{folder / name} has SHA-256 {actual}, not {digest}: it is damaged or foreign; restore it"
            )


def check_source(source: str | Path) -> None:
    """A local folder must exist; "owner/name" may be one on the hub."""
    parts = str(source).split("/")
    hub_id = len(parts) == 2 and all(parts) and parts[0] != "~" and not Path(parts[0]).exists()
    if not Path(source).is_dir() and not hub_id:
        raise FileNotFoundError(
            f"no base model at {source}: give a folder in diffusers format or a hub id such as owner/name"
        )


def read_part(part: Any, source: str, subfolder: str, **kwargs: Any) -> Any:
    """part.from_pretrained, with an error that names the part."""
    if Path(source).is_dir() and not (Path(source) / subfolder).is_dir():
        raise FileNotFoundError(f"{source} has no {subfolder}/: it must be a folder in diffusers format")
    try:
        return part.from_pretrained(source, subfolder=subfolder, **kwargs)
    except (OSError, RuntimeError, ValueError, SafetensorError) as error:
        raise OSError(
            f"cannot read {subfolder or part.__name__} of {source}: its files are missing, damaged or foreign, or "
            f"out of reach; restore them, with the weights as safetensors ({_first_sentence(error)})"
        ) from error


def read_weights(part: Any, source: str, subfolder: str, spare: tuple[str, ...] = (), **kwargs: Any) -> Any:
    """read_part for a network; ValueError unless the file held all of its tensors and none but them.

    Old files hold position_ids, which are no weights; names that begin as `spare` says are left alone, too.
    """
    net, report = read_part(part, source, subfolder, use_safetensors=True, output_loading_info=True, **kwargs)
    absent = sorted(map(str, [*report["missing_keys"], *report["mismatched_keys"]]))
    if absent:
        raise ValueError(f"the weights of {source}/{subfolder} lack {len(absent)} tensors, such as {absent[0]}")
    foreign = sorted(n for n in report["unexpected_keys"] if not n.endswith("position_ids") and not n.startswith(spare))
    if foreign:
        raise ValueError(
            f"the weights of {source}/{subfolder} hold {len(foreign)} tensors that its config.json has no place for, "
            f"such as {foreign[0]}: restore the two files together"
        )
    return net


def read_tensors(path: Path, remedy: str) -> tuple[dict[str, Tensor], dict[str, str]]:
    """All tensors of a safetensors file, and what it says of itself. ValueError with the remedy for a damaged one."""
    try:
        with safe_open(path, "pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(f"{path} is damaged ({error}): {remedy}") from error


def _first_sentence(error: Exception) -> str:
    return str(error).strip().splitlines()[0].split(". ")[0]
