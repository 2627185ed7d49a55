"""A run's copy in Weights & Biases, and its interface; the only importer of wandb. The run's files are the truth."""

import atexit
import os
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal

from src.files.pictures import pixel_digest
from src.files.rows import Row
from src.runs.links import inside

MODES = ("offline", "online", "disabled")
PATIENCE = 10  # seconds W&B's server may take to answer at the start; three times that to take the rest at the end
TABLE = "scores"  # the key of a mirrored run's table; not "images", which is their number in the summary
WITHOUT = "the run goes on without it"
SHOWN = 24  # pictures of a run beside its table, for dashboards: the first ones, the same of every run of a study


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
            then = WITHOUT if failed else "this run is kept offline; `wandb sync` sends it"
            self._report(refused or failed or "", then)

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
        # after wandb's own hook, so before it: that one fails loudly over a dead helper
        atexit.register(_forget_helper)
        if mode == "online":
            self.echo(f"W&B: {self.run.url}")

    def _guarded(self, act: Callable[[], None]) -> None:
        """Do it, if there is a mirror; if W&B fails, say so once and let go of it."""
        failed = self._attempt(act) if self.run else ""
        if failed:
            self.run = None
            self._report(failed, WITHOUT)

    def _report(self, failed: str, then: str) -> None:
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
        self._guarded(lambda: self.run.log(dict(row)))

    def summary(self, summary: Row) -> None:
        """Mirror the numbers of the summary."""
        self._guarded(lambda: self.run.summary.update(dict(summary)))

    def table(self, rows: Sequence[Row]) -> None:
        """Mirror one row per image with its picture, and the first pictures; photos only if `log_photos`."""
        self._guarded(lambda: self.run.log({TABLE: self._table(rows), **self._pictures(rows)}))

    def artifact(self, what: str, path: Path) -> None:
        """Mirror a file or folder as an artifact of this type, if that was asked for."""
        if self.kept[what]:
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
        if not inside(self.folder, row[column]):
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
        self._guarded(lambda: self.run.finish(exit_code=exit_code))
        self.run = None


def _reason(error: Exception) -> str:
    """What failed, in one line."""
    message = " ".join(str(error).split())
    return f"{type(error).__name__}: {message[:200]}" if message else type(error).__name__


def _forget_helper() -> None:
    """Let go of wandb's helper process, which may be dead: the next mirror starts another one."""
    import wandb

    with suppress(Exception, SystemExit):  # a dead helper's status becomes an exit of this process
        wandb.teardown()


@contextmanager
def wandb_api(what: str) -> Iterator[Any]:
    """W&B's interface for whoever is logged in. OSError beginning with `what` if nobody is, or if W&B refuses."""
    import wandb

    try:
        wandb.setup(wandb.Settings(silent=True))
        if not wandb.login(prompt=False, verify=False):
            raise wandb.errors.UsageError("no account is logged in; `wandb login` does it")
        yield wandb.Api(timeout=3 * PATIENCE)
    except (wandb.Error, ValueError) as error:  # ValueError is its word for "no such run", and for a bad setting
        raise OSError(f"{what} ({_reason(error)})") from error
