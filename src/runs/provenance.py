"""Where a result comes from: time, commit of the code, versions of the libraries."""

import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = (
    "torch", "torchvision", "pytorch-lightning", "diffusers", "transformers", "open_clip_torch",
    "insightface", "onnxruntime", "dlib-bin", "timm", "torchmetrics", "hydra-core", "omegaconf",
    "wandb", "numpy", "scipy", "pillow",
)  # fmt: skip


def now() -> str:
    """The time in UTC to the second, ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def versions(packages: Sequence[str] = PACKAGES) -> dict[str, str]:
    """The versions of Python and of those packages that are installed."""
    installed = {"python": sys.version.split()[0]}
    for package in packages:
        try:
            installed[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return installed


def machine() -> str:
    """Processor architecture, cores and operating system."""
    return f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()}"


def commit() -> dict[str, Any]:
    """{"commit": hash, "dirty": whether tracked files differ from it}; both None outside a git clone."""
    try:
        head, changes = _git("rev-parse", "HEAD"), _git("status", "--porcelain", "--untracked-files=no")
    except FileNotFoundError:  # git is not installed
        head = changes = None
    return {"commit": head, "dirty": None if head is None else bool(changes)}


def _git(*words: str) -> str | None:
    command = ["git", "-C", str(Path(__file__).parent), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else None
