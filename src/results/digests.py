"""What a result depends on, as SHA-256 digests: configuration, weights and code."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from src.files import check_file, sha256_of


def digest(config: Mapping[str, Any], *, weights: Mapping[str, str], code: str) -> str:
    """The hexadecimal digest that decides whether a stored run is reused.

    config: the resolved configuration as plain data, without what changes no result (output folder, logger);
    weights: name -> `file_digest` of each weight file read; code: `code_digest`. 1 and 1.0 are one value.
    """
    parts = {"config": _canonical(config), "weights": dict(weights), "code": code}
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _canonical(value: Any) -> Any:
    """Plain data in which equal numbers look equal and a tuple is a list."""
    if isinstance(value, Mapping):
        return {str(key): _canonical(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_canonical(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def code_digest(package: Path, parts: Sequence[str] | None = None) -> str:
    """SHA-256 over names and bytes of all *.py below `package`, or below `parts` (files or folders) of it.

    FileNotFoundError if a part isn't there, so that a renamed file cannot drop out of the digest unseen.
    """
    package, total = Path(package), hashlib.sha256()
    for path in sorted({file for part in parts or ["."] for file in _sources(package / part)}):
        source = path.read_bytes()
        total.update(f"{path.relative_to(package).as_posix()} {len(source)}\n".encode() + source)
    return total.hexdigest()


def _sources(part: Path) -> list[Path]:
    if not part.exists():
        raise FileNotFoundError(f"{part} is not there; its code was to be part of a run's digest")
    return [part] if part.is_file() else list(part.rglob("*.py"))


def file_digest(path: Path) -> str:
    """SHA-256 of a file; read again only if its size or its time of modification has changed."""
    check_file(Path(path))
    path = Path(path).resolve()
    state = path.stat()
    return _file_digest(path, state.st_size, state.st_mtime_ns)


@cache
def _file_digest(path: Path, size: int, mtime_ns: int) -> str:
    return sha256_of(path)
