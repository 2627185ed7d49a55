"""A run's folder and its mirror in Weights & Biases; the only importer of wandb. The files are the truth."""

import atexit
import json
import os
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal

import numpy as np
import yaml
from PIL import Image

from src.files.pictures import pixel_digest
from src.runs import listing, provenance, store
from src.runs.digests import code_digest, digest, file_digest

__all__ = ["Mirror", "Run", "asking", "code_digest", "digest", "download", "file_digest", "open_run", "run_folder"]

MODES = ("offline", "online", "disabled")
PATIENCE = 10  # seconds W&B's server may take to answer at the start; three times that to take the rest at the end
TABLE = "scores"  # the key of a mirrored run's table; not "images", which is their number in the summary
WITHOUT = "the run goes on without it"
SHOWN = 24  # pictures of a run beside its table, for dashboards: the first ones, the same of every run of a study
Row = Mapping[str, Any]


class Run:
    """One run: its `folder`, whether it is `complete` (then only read it), and what is written there."""

    def __init__(self, folder: Path, mirror: "Mirror | None" = None):
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
        return store.read_object(self.path("summary.json"))

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
        listing.complete(self.folder, {**summary, **times, "sittings": len(sittings)}, self._judged_files())

    def _judged_files(self) -> set[str]:
        """What the rows of scores.csv name, which may lie behind links."""
        rows = self.scores() if self.has("scores.csv") else []
        return {row[column] for row in rows for column in ("file", "photo") if row.get(column)}


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
    with store.locked(run.path(".lock"), str(run.folder), echo):
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
    store.make_folder(run.path("images"))
    store.sweep_drafts(run.folder)
    for name in ("metrics.jsonl", "sittings.jsonl"):
        store.mend_rows(run.path(name))
    plain = json.loads(json.dumps(config))
    store.write_json(run.path("config.json"), plain)
    store.write_atomic(run.path("config.yaml"), yaml.safe_dump(plain, sort_keys=False, allow_unicode=True).encode())
    earlier = store.read_jsonl(run.path("sittings.jsonl"))
    sitting = {"id": earlier[0]["id"] if earlier else secrets.token_hex(4), "kind": kind, "digest": digest}
    sitting |= {"tags": list(tags), "started": provenance.now(), **provenance.commit()}
    sitting |= {"versions": provenance.versions(), **({} if device is None else {"device": device})}
    store.append_row(run.path("sittings.jsonl"), sitting)
    return sitting


class Mirror:
    """A copy of a run for Weights & Biases. If W&B fails, one line says so and the run goes on without it."""

    def __init__(
        self,
        folder: Path,
        about: Row,
        *,
        mode: str = "offline",
        project: str = "profusion",
        entity: str | None = None,
        log_photos: bool = False,
        log_checkpoints: bool = False,
        log_people: bool = False,
        echo: Callable[[str], None] = print,
    ):
        """about: keyword arguments of wandb.init (id, name, group, job_type, tags, config).

        mode: offline (no account, no network), online (after `wandb login`) or disabled; else ValueError.
        log_photos: reference photos, and pictures that are nothing but a copy of one, leave this machine, too.
        log_checkpoints, log_people: trained networks and learned people are kept as artifacts; whoever has a
        learned person can draw that person.
        """
        if mode not in MODES:
            raise ValueError(f"logger.mode ({mode}) must be one of {', '.join(MODES)}")
        self.folder, self.log_photos, self.echo = folder, log_photos, echo
        self.kept = {"checkpoint": log_checkpoints, "person": log_people}
        self.run: Any = None  # the wandb run; None if there is none (any more)
        options = {**about, "project": project, "entity": entity}
        refused = self._attempt(lambda: self._start("online", options)) if mode == "online" else None
        if refused:  # wandb does not let go of the id of a failed start
            options["id"] = secrets.token_hex(4)
        failed = self._attempt(lambda: self._start("offline", options)) if mode == "offline" or refused else None
        if refused or failed:
            self._say(refused or failed or "", WITHOUT if failed else "this run is kept offline; `wandb sync` sends it")

    def _start(self, mode: Literal["online", "offline"], options: dict[str, Any]) -> None:
        """Start a wandb run that keeps to the run's folder, asks nothing and waits PATIENCE seconds."""
        import wandb

        wandb.setup(wandb.Settings(silent=True))  # silent: else it greets, warns and asks for a key
        if mode == "online" and not wandb.login(prompt=False, verify=False):
            raise wandb.errors.UsageError("no account is logged in; `wandb login` does it")
        settings = wandb.Settings(
            silent=True,
            console="off",
            reinit="create_new",
            init_timeout=PATIENCE if mode == "online" else 10 * PATIENCE,
            finish_timeout=3 * PATIENCE,
            disable_git=True,
            disable_code=True,
            disable_job_creation=True,
            x_disable_stats=True,
            x_disable_meta=True,
            x_save_requirements=False,
        )
        self.run = wandb.init(dir=str(self.folder), mode=mode, resume="allow", settings=settings, **options)
        atexit.unregister(_forget_helper)
        atexit.register(
            _forget_helper
        )  # after wandb's own hook, so before it: that one fails loudly over a dead helper
        if mode == "online":
            self.echo(f"W&B: {self.run.url}")

    def _guarded(self, act: Callable[[], None]) -> None:
        """Do it; if W&B fails, say so once and let go of it."""
        failed = self._attempt(act)
        if failed:
            self.run = None
            self._say(failed, WITHOUT)

    def _say(self, failed: str, then: str) -> None:
        self.echo(f"W&B fails ({failed}): {then}. All results are in {self.folder}.")

    def _attempt(self, act: Callable[[], None]) -> str:
        """Do it with all files of wandb in the run's folder; returns what W&B failed with, "" if it did not."""
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # else an offline run sends telemetry at exit
        import wandb  # takes most of a second, so only here

        home = {"WANDB_DATA_DIR": str(self.folder / "wandb"), "WANDB_CACHE_DIR": str(self.folder / "wandb")}
        before = {name: os.environ.get(name) for name in home}
        os.environ.update(home)
        try:
            act()
            return ""
        except Exception as error:  # its own, pydantic's over a setting, asyncio's over its helper: none may end a run
            if not isinstance(error, wandb.Error):
                _forget_helper()
            return _reason(error)
        finally:
            for name, value in before.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value

    def log(self, row: Row) -> None:
        """Mirror one row of scalars."""
        if self.run:
            self._guarded(lambda: self.run.log(dict(row)))

    def summary(self, summary: Row) -> None:
        """Mirror the numbers of the summary."""
        if self.run:
            self._guarded(lambda: self.run.summary.update(dict(summary)))

    def table(self, rows: Sequence[Row]) -> None:
        """Mirror one row per image with its picture, and the first pictures; photos only if `log_photos`."""
        if self.run:
            self._guarded(lambda: self.run.log({TABLE: self._table(rows), **self._pictures(rows)}))

    def artifact(self, what: str, path: Path) -> None:
        """Mirror a file or folder as an artifact of this type, if that was asked for."""
        if self.run and self.kept[what]:
            self._guarded(lambda: self.run.log_artifact(self._artifact(what, path)))

    def _artifact(self, what: str, path: Path) -> Any:
        import wandb

        artifact = wandb.Artifact(f"{self.run.name}-{path.stem}", type="model", metadata={"what": what})
        if path.is_dir():
            artifact.add_dir(str(path))
        else:
            artifact.add_file(str(path))
        return artifact

    def _table(self, rows: Sequence[Row]) -> Any:
        import wandb

        def cell(row: Row, column: str) -> Any:
            value = row.get(column)
            if column in ("picture", "photo"):
                return self._image(row, "file" if column == "picture" else "photo")
            return (float(value) if value not in (None, "") else None) if "/" in column else value

        known = dict.fromkeys(["picture", *(column for row in rows for column in row)])
        columns = [column for column in known if column != "photo" or self.log_photos]
        data = [[cell(row, column) for column in columns] for row in rows]
        return wandb.Table(columns=list(columns), data=data, allow_mixed_types=True)

    def _pictures(self, rows: Sequence[Row]) -> dict[str, list[Any]]:
        shown = [self._image(row, "file", f"{row['prompt']} ({row['person']}, {row['seed']})") for row in rows[:SHOWN]]
        there = [image for image in shown if image is not None]
        return {"pictures": there} if there else {}

    def _image(self, row: Row, column: str, caption: str | None = None) -> Any:
        """The row's picture, or None: it isn't there, or it is a photo's copy that stays at home."""
        import wandb

        file = self.folder / row[column] if row.get(column) else None
        if file is None or not file.is_file() or not (self.log_photos or self._may_leave(row)):
            return None
        if not store.inside(self.folder, row[column]):
            raise ValueError(f"{row[column]} lies outside of {self.folder}, and is not copied")
        return wandb.Image(str(file), caption=caption)

    def _may_leave(self, row: Row) -> bool:
        """Whether a picture differs from the reference photo of its row (the floor "copy" does not)."""
        photo = self.folder / row["photo"] if row.get("photo") else None
        if photo is None or not photo.is_file():
            return True
        return pixel_digest(photo) != pixel_digest(self.folder / row["file"])

    def finish(self, exit_code: int) -> None:
        """Close the mirror; what can't be sent in time stays in the run's folder for `wandb sync`."""
        if self.run:
            self._guarded(lambda: self.run.finish(exit_code=exit_code))
        self.run = None


def _reason(error: Exception) -> str:
    """What failed, in one line."""
    said = " ".join(str(error).split())
    return f"{type(error).__name__}: {said[:200]}" if said else type(error).__name__


def _forget_helper() -> None:
    """Let go of wandb's helper process, which may be dead: the next mirror starts another one."""
    import wandb

    with suppress(Exception, SystemExit):  # a dead helper's status becomes an exit of this process
        wandb.teardown()


@contextmanager
def asking(what: str) -> Iterator[Any]:
    """W&B's interface for whoever is logged in. OSError beginning with `what` if nobody is, or if W&B refuses."""
    import wandb

    try:
        wandb.setup(wandb.Settings(silent=True))
        if not wandb.login(prompt=False, verify=False):
            raise wandb.errors.UsageError("no account is logged in; `wandb login` does it")
        yield wandb.Api(timeout=3 * PATIENCE)
    except (wandb.Error, ValueError) as error:  # ValueError is its word for "no such run", and for a bad setting
        raise OSError(f"{what} ({_reason(error)})") from error


def download(path: str, files: Path) -> dict[str, Any]:
    """Put the table of the W&B run "entity/project/run" with its pictures into `files`; returns what W&B says of it.

    Keys: kind, digest, started, tags, config, summary. OSError if the run is not finished or was not judged, if W&B
    doesn't answer or has no such run, or if nobody is logged in.
    """
    with asking(f"W&B does not give the run {path}") as api:
        run = api.run(path)
        if run.state != "finished":
            raise OSError(f"the W&B run {path} is {run.state}; only finished runs are compared")
        kept = [found for found in run.logged_artifacts() if found.type == "run_table" and f"-{TABLE}:" in found.name]
        if not kept:
            raise OSError(f"the W&B run {path} has no table {TABLE!r}: choose a run that was judged")
        kept[-1].download(root=str(files))
        about = {"kind": run.job_type or "run", "digest": run.name.rpartition("-")[2], "started": run.created_at}
        about |= {"config": dict(run.config), "summary": dict(run.summary_metrics)}
        return {**about, "tags": list(run.tags)}
