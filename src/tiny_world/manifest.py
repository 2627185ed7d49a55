"""manifest.json of a folder of weights: what each file is, which stage made it and how, and how good it all is."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from src.files.whole import read_object, sha256_of, write_atomic
from src.runs.digests import file_digest
from src.runs.provenance import now
from src.tiny_world.gates.gate import Gate

MANIFEST = "manifest.json"
BUILD = "python -m src.build_tiny_world"
STAGE = ("command", "seed", "steps", "wall_s")  # what every stage says; most say parameters and last losses too
# what lies where -> the stage that trained it, the longest name first; judges/NAME... is stage NAME's
MAKERS = {"base/vae": "vae", "base/image_encoder": "vision", "base": "base", "promptnet": "promptnet", "e4t": "e4t"}


def write_manifest(
    folder: Path,
    stages: Mapping[str, Mapping[str, Any]],
    gates: Sequence[Gate] = (),
    history: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """Describe all files of `folder` in its manifest.json, wholly or not at all; returns what was written.

    stages: vae, base, vision, promptnet, e4t and each judge by its name -> command, seed, steps, wall_s (seconds), and
        what else there is to say: parameters (their number), last (losses at the end).
    gates: the measured quality. history: plain rows to add to those that the present manifest keeps.

    Raises:
        ValueError: a stage lacks something, or a file belongs to none of the stages.
    """
    for name, stage in stages.items():
        lacking = [key for key in STAGE if key not in stage]
        if lacking:
            raise ValueError(f"stage {name} lacks {', '.join(lacking)} for the manifest")
    path = folder / MANIFEST
    kept = read_manifest(folder)["history"] if path.is_file() else []
    files = {
        name: {
            "sha256": sha256_of(folder / name),
            "bytes": (folder / name).stat().st_size,
            "stage": _maker(name, stages),
        }
        for name in _present(folder)
    }
    manifest = {
        "files": files,
        "stages": {name: dict(stage) for name, stage in stages.items()},
        "gates": [asdict(row) for row in gates],
        "history": [*kept, *map(dict, history)],
    }
    text = json.dumps(manifest, indent=1, allow_nan=False, ensure_ascii=False) + "\n"
    write_atomic(path, text.encode())
    return manifest


def read_manifest(folder: Path) -> dict[str, Any]:
    """Files, stages, gates, history. FileNotFoundError where there is no manifest, ValueError if it cannot be read."""
    path = folder / MANIFEST
    remedy = f"restore it with `git checkout -- {path}`, or build the weights again with `{BUILD} stage=all`"
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: {remedy}")
    remedy = f"delete it, then {remedy}"
    manifest = read_object(path, remedy)
    lacking = [key for key in ("files", "stages", "gates", "history") if key not in manifest]
    if lacking:
        raise ValueError(f"{path} is foreign, it has no {lacking[0]!r}: {remedy}")
    return manifest


def known_stages(folder: Path) -> dict[str, Any]:
    """What the manifest of a folder says of stages; {} where there is none yet."""
    return read_manifest(folder)["stages"] if (folder / MANIFEST).exists() else {}


def replaced_gates(folder: Path) -> list[dict[str, Any]]:
    """The gates of weights that are about to be replaced, as a row for the manifest's history; [] without any."""
    gates = read_manifest(folder)["gates"] if (folder / MANIFEST).exists() else []
    values = {f"{row['number']} {row['name']}": row["value"] for row in gates}
    return [{"replaced": now(), "weights": weights_digest(folder), "gates": values}] if values else []


def check_manifest(folder: Path) -> dict[str, Any]:
    """The manifest, after comparing the folder with it: every listed file as it was, and no other file.

    Hidden files (".DS_Store") don't count. The error names the first file in question and the remedy.

    Raises:
        FileNotFoundError: the manifest or a listed file is missing.
        ValueError: the manifest or a file is damaged, or a file is foreign.
    """
    manifest = read_manifest(folder)
    for name, entry in manifest["files"].items():
        path, again = folder / name, manifest["stages"][entry["stage"]]["command"]
        remedy = f"restore it with `git checkout -- {path}` or build it again with `{again}`"
        if not path.is_file():
            raise FileNotFoundError(f"{path} is missing: {remedy}")
        size, digest = path.stat().st_size, entry["sha256"]
        if size != entry["bytes"]:
            raise ValueError(f"{path} is damaged, it has {size} bytes instead of {entry['bytes']}: {remedy}")
        if file_digest(path) != digest:
            raise ValueError(f"{path} is damaged or foreign, its SHA-256 does not begin with {digest[:12]}: {remedy}")
    foreign = sorted(set(_present(folder)) - set(manifest["files"]))
    if foreign:
        raise ValueError(
            f"{folder / foreign[0]} is foreign, the manifest does not list it: remove it, "
            f"or build the weights and their manifest again with `{BUILD} stage=all`"
        )
    return manifest


def weights_digest(folder: Path) -> str:
    """One hexadecimal SHA-256 for all listed files, from their names and listed digests; check the folder first."""
    lines = sorted(f"{name} {entry['sha256']}\n" for name, entry in read_manifest(folder)["files"].items())
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _present(folder: Path) -> list[str]:
    """All files below the folder as "a/b", without the manifest and without what is hidden."""
    found = (path.relative_to(folder) for path in sorted(folder.rglob("*")) if path.is_file())
    return [p.as_posix() for p in found if p.as_posix() != MANIFEST and not any(part[0] == "." for part in p.parts)]


def _maker(name: str, stages: Mapping[str, Any]) -> str:
    """The stage that trained the file; the base is `base` but for its VAE and its image encoder."""
    first, *rest = Path(name).parts
    made_by = next((stage for place, stage in MAKERS.items() if f"{name}/".startswith(f"{place}/")), None)
    stage = rest[0].split(".")[0] if first == "judges" and rest else made_by
    if stage not in stages:
        raise ValueError(
            f"{name} is of stage {stage or 'none'}, of which there is no report: {', '.join(stages)} report"
        )
    return str(stage)
