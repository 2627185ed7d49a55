"""What decides a result: of its settings and of the code that computes it; nothing else enters its digest."""

import ast
import os
from collections.abc import Iterator, Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from src.files.folders import files_below
from src.harness.compose import PACKAGE
from src.harness.settings.schema import kind_of
from src.runs.digests import code_digest, file_digest

# whose code decides each kind of result, as files and folders of the package; where a module stands decides nothing
BASE = ("diffusion.py", *(f"models/{name}.py" for name in ("base", "folders", "prompts")))
PHOTOS = ("files/pictures.py", "data/photos.py", "data/people_folder.py", "tiny_world/photos.py", "tiny_world/renderer")
TRAINING = (  # the weights that pre-training ends with, and what its validation says
    *BASE,
    *PHOTOS,
    *(f"models/{name}.py" for name in ("promptnet", "promptnet_files", "random_base")),
    *(f"data/{name}.py" for name in ("datamodule", "latents", "photo_index", "shards")),
    *(f"learning/{name}.py" for name in ("callbacks", "checkpoints", "pretrain", "stopping", "trainer")),
)
PERSON = (  # what is learned of somebody, beside its method: photos and their variants
    *BASE,
    *PHOTOS,
    *(f"models/{name}.py" for name in ("random_base", "inpainter", "pipelines")),
    *(f"data/{name}.py" for name in ("augment", "masks")),
)
DRAWING = ("sampling.py", "methods/drawing.py", "models/recording.py")
IMAGE = (*PERSON, *DRAWING, "models/personal.py", "methods/anchors.py", "harness/study.py")  # beside its method
SCORE = ("metrics", *(f"files/{name}.py" for name in ("pictures", "folders", "sheets", "rows")))
SIDE = (*IMAGE, *SCORE)  # a run of images and their scores, beside its method
STATISTIC = ("statistics", "files/rows.py")
CLAIM = (*SIDE, *TRAINING, *STATISTIC, "harness/claim.py")  # beside the methods of its sides
PAGE = ("reports", "runs", "human", *STATISTIC, "files/html.py", "files/pictures.py")

# files, folders, rows and tensors on their way: what they hold is decided by who wrote it
CARRIERS = ("files", "runs", "statistics", "harness")


def code_of(parts: Sequence[str], *nodes: Any) -> str:
    """The digest of the code of one kind of result, such as SIDE, and of what these nodes build, such as a method."""
    return code_digest(PACKAGE, [*parts, *map(str, code_files(nodes))])


def code_files(nodes: Any) -> set[Path]:
    """The modules of ours that the targets of plain nodes stand in, and all that these import, but what carries files
    and what draws: a method that is added decides nothing of the others. What is drawn to be learned from counts."""
    carriers, drawing = ({PACKAGE / part for part in parts} for parts in (CARRIERS, DRAWING))
    found: set[Path] = set()
    waiting = [module_file(target) for target in _targets(nodes)]
    while waiting:
        file = waiting.pop()
        if file is None or file.name == "__init__.py" or file in found or carriers & {file, *file.parents}:
            continue
        found.add(file)
        learned = file.parent == PACKAGE / "learning"
        waiting += [own for own in map(module_file, imported(file)) if learned or own not in drawing]
    return found


def _targets(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        yield from [str(node["_target_"])] if "_target_" in node else []
    for value in node.values() if isinstance(node, dict) else node if isinstance(node, list | tuple) else ():
        yield from _targets(value)


@cache
def imported(file: Path) -> list[str]:
    """The dotted names that a module imports."""
    nodes = [node for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))) if isinstance(node, ast.ImportFrom)]
    return [f"{node.module}.{alias.name}" for node in nodes for alias in node.names]


@cache
def module_file(name: str) -> Path | None:
    """The module that a dotted name of ours lies in; None for a name of others."""
    parts, file = name.split("."), None
    for length in range(1, len(parts) + 1 if parts[0] == "src" else 0):
        spec = find_spec(".".join(parts[:length]))
        if spec is None or spec.origin is None:
            break
        file = Path(spec.origin)
        if spec.submodule_search_locations is None:
            break
    return file


def portable(value: Any) -> Any:
    """Plain data in which paths inside this package read the same on every machine."""
    if isinstance(value, dict):
        return {key: portable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [portable(item) for item in value]
    return value.replace(str(PACKAGE), "src") if isinstance(value, str) else value


def file_digests(node: Any, setting: str = "") -> dict[str, str]:
    """The SHA-256 of every file that plain data names, and of all below a folder but hidden and system files.

    setting: the dotted name of the node, by which words and prompts are known to name no file.
    """
    if isinstance(node, dict | list):
        items = node.items() if isinstance(node, dict) else (("", value) for value in node)
        parts = [(value, f"{setting}.{key}".strip(".")) for key, value in items]
        return {name: sha for value, own in parts for name, sha in file_digests(value, own).items()}
    kind = kind_of(setting)
    if kind is not None and kind.spoken:
        return {}
    path = node.removeprefix("local-dir:") if isinstance(node, str) else ""
    files = sorted(files_below(Path(path))) if os.path.isdir(path) else [Path(path)] if os.path.exists(path) else []
    return {portable(str(file)): file_digest(file) for file in files if file.is_file()}


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


# how a study is shared out over a machine, by names that mean something else further down
SHARED_OUT = ("workers", "threads", "passing")


def deciding_of_study(cfg: dict[str, Any]) -> dict[str, Any]:
    """As `deciding`, of all settings of a command that makes a study, portable."""
    return portable(deciding({name: value for name, value in cfg.items() if name not in SHARED_OUT}))


def deciding(value: Any, name: str = "") -> Any:
    """Plain data without the settings that decide no result, to be digested."""
    if isinstance(value, list):
        return [deciding(item, name) for item in value]
    if not isinstance(value, dict):
        return value
    at_once = ("batch",) if name in ("sampler", "class_images") else ()  # images, none of which depends on the others
    spare = {*INDIFFERENT, *at_once, *(() if value.get("tf32") else ("tf32",))}
    return {key: deciding(item, str(key)) for key, item in value.items() if key not in spare}
