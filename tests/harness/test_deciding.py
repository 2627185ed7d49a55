"""What decides a result is listed: no module that a result is computed with is missing, and none is gone."""

import ast

import pytest

from src.harness import deciding
from src.harness.compose import PACKAGE

# files, folders, rows and tensors on their way: what they hold is decided by who wrote it
CARRIERS = {"files.whole", "files.cells", "files.folders", "files.sheets", "diffusion", "runs", "statistics", "harness"}
KINDS = {
    "TRAINING": ("learning.pretrain", "learning.trainer", "data.datamodule", "models.promptnet", "tiny_world.photos"),
    "PERSON": ("learning.finetune", "learning.tuned", "data.augment", "data.masks", "tiny_world.photos"),
    "IMAGE": ("methods.profusion", "sampling", "harness.study"),
    "SCORE": ("metrics.evaluation",),
}

# what a module imports for others: who is learned is drawn by them later, and no photo of theirs comes from an index
SPARE = {"PERSON": {"models.personal", "models.recording", "sampling", "data.photo_index"}}


def imported(module: str) -> set[str]:
    """The modules of ours that a module imports."""
    path = PACKAGE / f"{module.replace('.', '/')}.py"
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("src"):
            base = node.module.removeprefix("src").lstrip(".")
            names = [f"{base}.{alias.name}".lstrip(".") for alias in node.names]
            found |= {name if (PACKAGE / f"{name.replace('.', '/')}.py").is_file() else base for name in names}
    return {name for name in found if (PACKAGE / f"{name.replace('.', '/')}.py").is_file()}


def closure(modules: tuple[str, ...]) -> set[str]:
    """They and all that they import, but what lies behind carriers."""
    seen, waiting = set(), list(modules)
    while waiting:
        module = waiting.pop()
        if module not in seen and module not in CARRIERS and module.split(".")[0] not in CARRIERS:
            seen.add(module)
            waiting += imported(module)
    return seen


def listed(kind: str) -> set[str]:
    files = [PACKAGE / part for part in getattr(deciding, kind)]
    paths = [path for file in files for path in ([file] if file.is_file() else file.rglob("*.py"))]
    return {path.relative_to(PACKAGE).with_suffix("").as_posix().replace("/", ".") for path in paths}


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_all_that_a_result_is_computed_with_is_listed(kind):
    assert closure(KINDS[kind]) - listed(kind) - SPARE.get(kind, set()) == set()


@pytest.mark.parametrize("kind", [name for name in dir(deciding) if name.isupper() and name != "INDIFFERENT"])
def test_every_list_names_files_that_are_here(kind):
    if kind not in ("PACKAGE", "CONF"):
        assert len(deciding.code_of(getattr(deciding, kind))) == 64
