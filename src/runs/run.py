"""A run's folder: made once, then reused, continued where it stopped, or waited for. Its files are the truth."""

import json
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

import numpy as np
import yaml
from PIL import Image

from src.files.rows import Row
from src.files.whole import locked, make_folder, read_object, write_atomic
from src.runs import listing, provenance, store
from src.runs.mirror import Mirror


class Run:
    """One run: its `folder`, whether it is `complete` (then only read it), and what is written there."""

    def __init__(self, folder: Path, mirror: Mirror | None = None):
        self.folder, self.mirror = folder, mirror
        self._start = time.monotonic()

    @property
    def complete(self) -> bool:
        """True once summary.json is there, which is written last."""
        return self.has("summary.json")

    def path(self, name: str) -> Path:
        """The path of a file of this run, `images/0.png` say."""
        return self.folder / name

    def made(self, name: str) -> Path:
        """The path of a file or folder that this run made. FileNotFoundError if it was taken away since."""
        if not self.has(name):
            raise FileNotFoundError(f"{self.folder} is complete but lacks {name}: delete the folder to make it again")
        return self.path(name)

    def has(self, name: str) -> bool:
        """Whether this file is there (then it is whole), so that an interrupted run goes on behind it."""
        return self.path(name).exists()

    def _unfinished(self, name: str) -> Path:
        """The path of a file to be written. ValueError if the run is complete, for others may be reading it."""
        if self.complete:
            raise ValueError(f"{self.folder} is complete; read it, or delete the folder to compute it again")
        return self.path(name)

    def save_image(self, name: str, image: np.ndarray | Image.Image, settings: Row) -> None:
        """Save a picture (uint8 [H, W, 3] or PIL) as PNG with its settings in the PNG text `profusion`."""
        store.save_png(self._unfinished(name), image, settings)

    def log(self, row: Row) -> None:
        """Append a row of plain numbers and words to metrics.jsonl, at once in the file, and mirror it."""
        seconds = round(time.monotonic() - self._start, 3)
        store.append_row(self._unfinished("metrics.jsonl"), {**row, "seconds": seconds})
        if self.mirror:
            self.mirror.log(row)

    def metrics(self) -> list[dict[str, Any]]:
        """The rows logged so far, earlier sittings included."""
        return store.read_jsonl(self.path("metrics.jsonl"))

    def write_scores(self, rows: Sequence[Row]) -> None:
        """Write scores.csv, one row per image (`file` relative to the folder), and mirror it as a table."""
        store.write_csv(self._unfinished("scores.csv"), rows)
        if self.mirror:
            self.mirror.table(rows)

    def keep(self, what: Literal["checkpoint", "person"], path: Path) -> None:
        """Mirror a file or folder of weights as an artifact, if the logger says so (log_checkpoints, log_people)."""
        if self.mirror:
            self.mirror.artifact(what, path)

    def scores(self) -> list[dict[str, str]]:
        """The rows of scores.csv, values as text. FileNotFoundError if there are none yet; ValueError if damaged."""
        return store.read_scores(self.path("scores.csv"))

    def summary(self) -> dict[str, Any]:
        """What `finish` wrote. FileNotFoundError if the run isn't complete."""
        return read_object(self.path("summary.json"))

    def finish(self, summary: Row) -> None:
        """List all files with their digests, then write summary.json, the mark of completeness.

        wall_seconds counts the last sitting alone.
        """
        self._unfinished("summary.json")
        sittings = store.read_jsonl(self.path("sittings.jsonl"))
        wall = round(time.monotonic() - self._start, 2)
        times = {"started": sittings[0]["started"], "finished": provenance.now(), "wall_seconds": wall}
        if self.mirror:
            self.mirror.summary(summary)
        rows = self.scores() if self.has("scores.csv") else []  # what they name may lie behind links
        named = {row[column] for row in rows for column in ("file", "photo") if row.get(column)}
        listing.complete(self.folder, {**summary, **times, "sittings": len(sittings)}, named)


def track(run: Run, group: str, name: str, logger: Row, echo: Callable[[str], None] = print) -> None:
    """Mirror a finished run as one of a group: a claim's, say, whose sides are other claims', too. Once: where its copy
    lies in the run's folder already nothing is done. logger: as of `open_run`."""
    own = sha256(f"{group}/{name}/{run.folder.name}".encode()).hexdigest()[:8]
    if logger["mode"] == "disabled" or any(run.path("wandb").glob(f"*run-*-{own}")):
        return
    about: dict[str, Any] = {"id": own, "name": name, "group": group, "job_type": run.folder.parent.name}
    about |= {"tags": [group], "config": read_object(run.path("config.json"))}
    mirror = Mirror(run.folder, about, echo=echo, **logger)
    for row in run.metrics():
        mirror.log(row)
    mirror.table(run.scores())
    mirror.summary(run.summary())
    mirror.finish(0)


def run_folder(root: Path | str, kind: str, digest: str) -> Path:
    """root/kind/<first 12 characters of the digest>."""
    return Path(root) / kind / digest[:12]


@contextmanager
def open_run(
    root: Path | str,
    kind: str,
    config: Row,
    digest: str,
    *,
    logger: Row | None = None,
    group: str | None = None,
    tags: Sequence[str] = (),
    device: str | None = None,
    echo: Callable[[str], None] = print,
) -> Iterator[Run]:
    """The run of this digest, for one process at a time; who comes second waits and then finds it complete.

    kind: what it computes ("ablate", "train"; also the W&B job type); config: the resolved configuration as
    plain data; logger: keyword arguments of `Mirror` (mode, project, log_photos, ...), None for no mirror.
    device: what it computes on, in words, for sittings.jsonl; it is no part of the digest.
    A complete run is checked against its list of files (ValueError names what is damaged or missing) and given to be
    read, unlocked. OSError if the folder cannot be written, naming it.
    """
    run = Run(run_folder(root, kind, digest))
    if run.complete:
        listing.check_listing(run.folder)
        yield run
        return
    with locked(run.path(".lock"), str(run.folder), echo):
        if not run.complete:
            sitting = _begin(run, kind, config, digest, tags, device)
            if logger is not None:
                about = {"id": sitting["id"], "name": f"{kind}-{digest[:12]}", "config": dict(config)}
                about |= {"group": group, "job_type": kind, "tags": list(tags)}
                run.mirror = Mirror(run.folder, about, echo=echo, **logger)
        try:
            yield run
        finally:
            if run.mirror:
                run.mirror.finish(0 if run.complete else 1)


def _begin(run: Run, kind: str, config: Row, digest: str, tags: Sequence[str], device: str | None) -> dict[str, Any]:
    """Tidy up after a killed sitting; write the configuration and this sitting's time, commit and versions."""
    make_folder(run.path("images"))
    store.sweep_drafts(run.folder)
    for name in ("metrics.jsonl", "sittings.jsonl"):
        store.mend_rows(run.path(name))
    plain = json.loads(json.dumps(config))
    store.write_json(run.path("config.json"), plain)
    write_atomic(run.path("config.yaml"), yaml.safe_dump(plain, sort_keys=False, allow_unicode=True).encode())
    earlier = store.read_jsonl(run.path("sittings.jsonl"))
    sitting = {"id": earlier[0]["id"] if earlier else secrets.token_hex(4), "kind": kind, "digest": digest}
    sitting |= {"tags": list(tags), "started": provenance.now(), **provenance.commit()}
    sitting |= {"versions": provenance.versions(), **({} if device is None else {"device": device})}
    store.append_row(run.path("sittings.jsonl"), sitting)
    return sitting
