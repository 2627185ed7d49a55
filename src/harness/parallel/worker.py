"""One worker: a process that learns and draws people, one after the other, and keeps nothing but who was learned."""

import os
import signal
import threading
from collections.abc import Iterator
from multiprocessing import parent_process
from types import FrameType
from typing import Any

from hydra.errors import InstantiationException
from omegaconf import DictConfig

from src.harness.assembly import changed
from src.harness.build import plain
from src.harness.command import quiet
from src.harness.device import set_tf32
from src.harness.parallel.crew import Crew
from src.harness.preflight.people import places
from src.harness.settings.errors import FAULTS, cause_of, one_line
from src.harness.sides import Sides
from src.harness.signals import Stopped
from src.harness.study import Draw


def crew_for(cfg: DictConfig) -> Crew:
    """The workers of a study. ValueError for more workers than people."""
    return Crew(places(cfg), work)


def work(pipe: Any, place: str) -> None:
    """Answer the command as `Crew` asks, on the device `place`, until it says stop or is gone."""
    signal.signal(signal.SIGTERM, _stop)
    threading.Thread(target=_end_with_command, daemon=True).start()
    quiet()
    try:
        _serve(pipe, place)
    except (EOFError, ConnectionError):  # the command is gone
        return
    except Stopped:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTERM)


def _stop(number: int, frame: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # while it is tidied up
    raise Stopped(number)


def _end_with_command() -> None:
    """A command that was killed says nothing to its workers."""
    parent_process().join()  # type: ignore[union-attr]
    os._exit(1)


def _serve(pipe: Any, place: str) -> None:
    known = _Known(place)
    while True:
        asked, answer = pipe.recv(), None
        try:
            for pictures in known.answer(asked):
                pipe.send(pictures)
        except ConnectionError:
            raise
        except FAULTS as error:
            cause = cause_of(error)
            if isinstance(cause, InstantiationException):
                raise
            answer = ValueError(one_line(cause))
        pipe.send(answer)


class _Known:
    """The study that was asked for last, with its networks, and its side."""

    def __init__(self, place: str):
        self._place = place
        self._of: list[Any] = []  # the settings of both
        self._sides: Sides | None = None
        self._draw: Draw | None = None

    def answer(self, asked: Any) -> Iterator[Any]:
        """The pictures of (study, side, rows of a person, fresh noise); None is asked where memory is wanted."""
        if asked is None:
            if self._sides is not None:
                self._sides.parts.release()
            return
        study, side, rows, fresh_noise = asked
        yield from self._drawing(study, side)([rows], fresh_noise)

    def _drawing(self, study: DictConfig, side: DictConfig) -> Draw:
        settings = [plain(study), plain(side)]
        if self._sides is None or self._of[0] != settings[0]:
            self._of, self._sides, self._draw = [], None, None  # its networks go before others come
            set_tf32(bool(study.tf32))
            self._sides = Sides(changed(study, {"device": self._place}))
        if self._draw is None or self._of != settings:
            self._of, self._draw = settings, self._sides.drawing(side)
        return self._draw
