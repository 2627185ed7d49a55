"""The workers of a command: they learn and draw people, and hand over what they drew; all else the command does."""

import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import connection, get_context, resource_tracker
from multiprocessing.context import SpawnProcess
from typing import Any

from omegaconf import DictConfig

from src.files.rows import Rows
from src.harness.parallel.progress import Progress
from src.harness.study import Draw, Pictures

PATIENCE = 10  # seconds in which a worker that is told to stop tidies up
Work = Callable[[Any, str], None]  # (its end of the pipe, its device): the life of a worker


@dataclass(frozen=True)
class _Worker:
    process: SpawnProcess
    pipe: Any


class Crew:
    """Workers, each started when it is first needed and kept until the end of the block; their bar.

    Without `places` there are none, and a command does everything itself.
    """

    def __init__(self, places: Sequence[str] = (), work: Work | None = None):
        self.places, self.progress = places, Progress(max(len(places), 1))
        self._work, self._workers = work, list[_Worker]()

    def __enter__(self) -> "Crew":
        return self

    def __exit__(self, *_: object) -> None:
        """Tell all to stop, and wait until they are gone: nobody writes anything after this."""
        self.progress.close()
        for worker in self._workers:
            worker.process.terminate()
        for worker in self._workers:
            worker.process.join(PATIENCE)
            worker.process.kill()
            worker.process.join()
            worker.pipe.close()
        self._workers.clear()

    def shared(self, alone: Draw, release: Callable[[], None], study: DictConfig, side: DictConfig) -> Draw:
        """`alone`, of one side, or what workers do in its place where several people are left.

        release(): takes what this process has off the device. study, side: the configurations of both. ValueError for
        what a worker ended with; OSError for one that was killed.
        """

        def draw(people: Sequence[Rows], fresh_noise: int) -> Iterator[Pictures]:
            if len(self.places) < 2 or len(people) == 1:
                return alone(people, fresh_noise)
            release()
            return self._draw([(study, side, rows, fresh_noise) for rows in people])

        return draw

    def _draw(self, people: Sequence[Any]) -> Iterator[Pictures]:
        """A person is one worker's, so that no image depends on how many workers there are."""
        self._hire(min(len(self.places), len(people)))
        waiting, idle, busy = list(people), list(self._workers), dict[Any, _Worker]()
        while waiting or busy:
            while waiting and idle:
                worker = idle.pop(0)
                self._tell(worker, waiting.pop(0))
                busy[worker.pipe] = worker
            for pipe in connection.wait(list(busy)):
                said = self._heard(busy[pipe])
                if said is None:  # done with this person
                    idle.append(busy.pop(pipe))
                else:
                    yield said
        for worker in self._workers:  # their memory is for the judges
            self._tell(worker, None)
            self._heard(worker)

    def _hire(self, number: int) -> None:
        resource_tracker.ensure_running()  # it undoes the mask below
        for place in self.places[len(self._workers) : number]:
            ours, theirs = get_context("spawn").Pipe()
            process = get_context("spawn").Process(target=self._work, args=(theirs, place), daemon=True)
            # Ctrl-C goes to all processes of a terminal: the command hears it, and tells its workers
            mask = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
            try:
                process.start()
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            theirs.close()
            self._workers.append(_Worker(process, ours))

    def _tell(self, worker: _Worker, what: Any) -> None:
        with _there(worker):
            worker.pipe.send(what)

    def _heard(self, worker: _Worker) -> Any:
        with _there(worker):
            said = worker.pipe.recv()
        if isinstance(said, Exception):
            raise said
        return said


@contextmanager
def _there(worker: _Worker) -> Iterator[None]:
    """Say how a worker ended, where it did."""
    try:
        yield
    except (EOFError, ConnectionError) as error:
        worker.process.join()
        code = worker.process.exitcode or 0
        if code >= 0:
            raise RuntimeError(f"a worker failed with status {code}: its own error is above") from error
        raise ChildProcessError(
            f"a worker was ended by {signal.Signals(-code).name}, perhaps for lack of memory: set fewer workers, such "
            "as workers=1, and what it drew is gone on with"
        ) from error
