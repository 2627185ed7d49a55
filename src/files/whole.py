"""Files that are whole or not there, and locks: the bottom layer, for whoever writes something."""

import hashlib
import json
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

from filelock import FileLock, Timeout

RECORD = ".sha256"  # what the file beside a file is called that holds its digest, in the format of `sha256sum -c`
AGAIN = "restore it, or delete its folder and give the command that made it again"
REMEDY = "free some space there, or choose another output folder that you may write to"


@contextmanager
def naming(folder: Path) -> Iterator[None]:
    """Turn any OSError inside into one that names the folder and the remedy; the first one stays its cause."""
    try:
        yield
    except OSError as error:
        raise OSError(f"cannot write in {folder}: {error.strerror or error}; {REMEDY}") from error


def make_folder(folder: Path) -> Path:
    """The folder, created with its parents if need be. OSError names it if that cannot be done."""
    with naming(folder):
        folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A file to write that becomes `path` at the end of the block, wholly or not at all.

    It is written beside `path`, flushed to disk, then renamed over it, and the folder flushed, too.
    OSError if that fails (full disk, read-only folder); what stood at `path` before is then untouched.
    """
    path = Path(path)
    make_folder(path.parent)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    with naming(path.parent):
        try:
            with open(draft, "xb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(draft, path)
            _flush_folder(path.parent)
        finally:
            draft.unlink(missing_ok=True)


@contextmanager
def locked(path: Path, what: str, echo: Callable[[str], None] = print) -> Iterator[None]:
    """Hold the lock file `path`; if another process holds it, say so once and wait. It dies with its holder."""
    make_folder(path.parent)
    lock, holder = FileLock(path, fallback_to_soft=False), ""  # a soft one would outlive its holder
    with naming(path.parent):
        try:
            lock.acquire(blocking=False)
        except Timeout:
            holder = path.read_text().strip() or "another process"
    if holder:
        echo(f"Waiting for {what}: {holder} is at work on it, this goes on when it ends (Ctrl-C stops).")
        lock.acquire()
    try:
        with naming(path.parent):
            path.write_text(f"process {os.getpid()} (since {datetime.now():%H:%M:%S})")
        yield
    finally:
        lock.release()


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_atomic(path: Path, data: bytes) -> None:
    """Write `data` to `path`, wholly or not at all; OSError as of `whole_file`."""
    with whole_file(path) as file:
        file.write(data)


def content_of(path: Path) -> bytes:
    """All bytes of an ordinary file. FileNotFoundError for anything else: nothing may come out of a pipe, ever."""
    check_file(path)
    return path.read_bytes()


def check_file(path: Path) -> None:
    """FileNotFoundError for what is no ordinary file: nothing, a folder, a pipe, a link to nowhere or to itself."""
    if not path.is_file():
        raise FileNotFoundError(f"{path} is {'no ordinary file' if path.exists() else 'not there'}: restore it")


def read_json(path: Path, remedy: str = AGAIN) -> Any:
    """The value in a JSON file. FileNotFoundError if there is none, ValueError with the remedy if it is damaged."""
    try:
        return json.loads(content_of(path))
    except (ValueError, RecursionError) as error:  # bytes that are no text, text that is no JSON, or nested too deep
        raise ValueError(f"{path} is damaged ({error}): {remedy}") from error


def read_object(path: Path, remedy: str = AGAIN) -> dict[str, Any]:
    """The named values in a JSON file; raises what `read_json` raises."""
    value = read_json(path, remedy)
    if not isinstance(value, dict):
        raise ValueError(f"{path} is damaged (it holds no named values): {remedy}")
    return value


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    check_file(path)
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def record_of(path: Path) -> Path:
    """Where the digest of a file lies."""
    return path.with_name(path.name + RECORD)


def record(path: Path, digest: str) -> None:
    """Write the digest of a file beside it, in the format of `sha256sum -c`; do so before the file gets its name."""
    write_atomic(record_of(path), f"{digest}  {path.name}\n".encode())


def write_recorded(path: Path, data: bytes) -> None:
    """Write `data` to `path` and its digest beside it, which is there first: a file without one is never seen."""
    record(path, hashlib.sha256(data).hexdigest())
    write_atomic(path, data)


def check_record(path: Path, remedy: str) -> None:
    """Raise ValueError with the remedy unless a file has the SHA-256 that lies beside it."""
    written = record_of(path).read_bytes().split()[:1] if record_of(path).is_file() else []
    digest = sha256_of(path)
    if written != [digest.encode()]:
        recorded = f"{written[0].decode(errors='replace')[:12]}..." if written else "a recorded one"
        raise ValueError(f"{path} has SHA-256 {digest[:12]}..., not {recorded}: it is damaged; {remedy}")
