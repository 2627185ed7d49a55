"""How a command ends when it is told to: by SIGTERM with status 143, by Ctrl-C with 130, and in one line.

Imports nothing but the standard library: it listens before the libraries load (src/__init__.py).
"""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

STATUS = {signal.SIGTERM: 143, signal.SIGINT: 130}  # what a shell reports of a process that they end
BEFORE = "stopped while the libraries were loading; nothing was begun, the same command begins"
AFTER = "stopped at the end; everything is done"


class Stopped(BaseException):
    """Asked to stop. No SystemExit or KeyboardInterrupt: libraries make endings of their own of those."""

    def __init__(self, number: int):
        super().__init__(number)
        self.number = signal.Signals(number)


class _AtOnce:
    """A handler that ends the process on the spot, for when there is nothing to tidy up."""

    def __init__(self, said: str):
        self.said = said

    def __call__(self, number: int, frame: FrameType | None) -> None:
        os.write(2, f"{signal.Signals(number).name}: {self.said}\n".encode())
        os._exit(STATUS[signal.Signals(number)])


class Ending:
    """Whether this command was told to stop, and what it says then."""

    def __init__(self) -> None:
        self.heard: signal.Signals | None = None
        self.kept = "nothing was begun; the same command begins"

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if self.heard is None:  # what comes while it is tidied up (timeout and shells send twice) changes nothing
            self.heard = signal.Signals(number)
            raise Stopped(number)

    def leave(self, number: signal.Signals) -> None:
        """Say it, and exit."""
        print(f"{number.name}: stopped; {self.kept}", file=sys.stderr, flush=True)
        raise SystemExit(STATUS[number])


def listen_while_loading() -> None:
    """Before the first library is imported."""
    for number in STATUS:
        signal.signal(number, _AtOnce(BEFORE))


@contextmanager
def stoppable(ending: Ending) -> Iterator[None]:
    """In this block a signal raises Stopped, once; at its end the process exits, whatever a library made of that."""
    ending.heard = None
    before = {number: signal.signal(number, ending) for number in STATUS}
    try:
        yield
    except BaseException:
        if ending.heard is None:
            raise
    finally:
        for number, handler in before.items():
            if isinstance(handler, _AtOnce):
                handler.said = AFTER
            signal.signal(number, handler)
    if ending.heard:
        ending.leave(ending.heard)
