"""What a result depends on, as SHA-256 digests: configuration, weights and the meaning of code."""

import ast
import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from src.files.whole import check_file, sha256_of

Definition = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def digest(config: Mapping[str, Any], *, weights: Mapping[str, str], code: str) -> str:
    """The hexadecimal digest that decides whether a stored run is reused.

    config: the resolved configuration as plain data, without what changes no result (output folder, logger);
    weights: name -> `file_digest` of each weight file read; code: `code_digest`. 1 and 1.0 are one value.
    """
    parts = {"config": _canonical(config), "weights": dict(weights), "code": code}
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _canonical(value: Any) -> Any:
    """Plain data in which equal numbers look equal, a tuple is a list, and a target of ours is its bare name."""
    if isinstance(value, Mapping):
        return {str(key): _bare(item) if key == "_target_" else _canonical(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_canonical(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _bare(target: Any) -> Any:
    """`src.models.promptnet.PromptNet` is PromptNet: where it stands decides nothing."""
    return target.rpartition(".")[2] if isinstance(target, str) and target.startswith("src.") else target


def code_digest(package: Path, parts: Sequence[str]) -> str:
    """SHA-256 over what all *.py at or below `parts` (files or folders) of `package` mean, wherever they stand.

    FileNotFoundError if a part isn't there, so that a renamed file cannot drop out of the digest unseen.
    """
    files = {file for part in parts for file in _sources(Path(package) / part)}
    meanings = sorted(_file_meaning(path, path.stat().st_size, path.stat().st_mtime_ns) for path in files)
    return hashlib.sha256("".join(meanings).encode()).hexdigest()


def _sources(part: Path) -> list[Path]:
    if not part.exists():
        raise FileNotFoundError(f"{part} is not there; its code was to be part of a run's digest")
    return [part] if part.is_file() else list(part.rglob("*.py"))


@cache
def _file_meaning(path: Path, size: int, mtime_ns: int) -> str:
    return hashlib.sha256(meaning(path.read_text(encoding="utf-8")).encode()).hexdigest()


def meaning(source: str) -> str:
    """Python code as its syntax tree, written out: without comments, docstrings and layout, and without the order of
    its imports and the place of what it imports from this package."""
    imported = _Imports()
    tree = imported.visit(ast.parse(source))
    for node in ast.walk(tree):
        if isinstance(node, Definition) and ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return "\n".join([*(f"# {name}" for name in sorted(imported.names)), ast.unparse(ast.fix_missing_locations(tree))])


class _Imports(ast.NodeTransformer):
    """Takes the imports out of a tree and keeps what they bind: of our own modules the names alone."""

    def __init__(self) -> None:
        self.names: set[str] = set()

    def visit_Import(self, node: ast.Import) -> ast.Pass:
        self.names |= {f"{_bare(alias.name)} as {alias.asname}" for alias in node.names}
        return ast.Pass()

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.Pass:
        ours = node.level or (node.module or "").split(".")[0] == "src"
        place = "ours" if ours else node.module
        self.names |= {f"{place}: {alias.name} as {alias.asname or alias.name}" for alias in node.names}
        return ast.Pass()

    def visit(self, node: ast.AST) -> Any:
        """The node without the statements that import; a block that holds nothing else keeps one `pass`."""
        node = super().visit(node)
        for name in ("body", "orelse", "finalbody"):
            block = getattr(node, name, None)
            if isinstance(block, list) and any(isinstance(each, ast.Pass) for each in block):
                rest = [each for each in block if not isinstance(each, ast.Pass)]
                setattr(node, name, rest if rest or name != "body" else [ast.Pass()])
        return node


def file_digest(path: Path) -> str:
    """SHA-256 of a file; read again only if its size or its time of modification has changed."""
    check_file(Path(path))
    path = Path(path).resolve()
    state = path.stat()
    return _file_digest(path, state.st_size, state.st_mtime_ns)


@cache
def _file_digest(path: Path, size: int, mtime_ns: int) -> str:
    return sha256_of(path)
