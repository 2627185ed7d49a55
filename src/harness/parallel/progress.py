"""One bar for all sides of a command, and the time that remains: what is left, by what such things took so far."""

from collections import defaultdict, deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tqdm import tqdm

FORMAT = "{desc}{percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} images [{elapsed} gone{postfix}]"


@dataclass(frozen=True)
class Estimate:
    """What a side is thought to cost: U-Net evaluations of an image, and photos that learning sees, by the file that is
    kept of a person."""

    images: int
    evaluations: int = 0
    learning: Mapping[Path, int] = field(default_factory=dict)


class _Rate:
    """Seconds that one of something takes, None until some were seen."""

    def __init__(self) -> None:
        self._number, self._seconds = 0.0, 0.0

    def add(self, number: float, seconds: float) -> None:
        self._number, self._seconds = self._number + number, self._seconds + seconds

    def of(self, number: float) -> float | None:
        if not number:
            return 0.0
        return number * self._seconds / self._number if self._number else None


class Progress:
    """How far a command is. workers: how many people are learned and drawn at once."""

    def __init__(self, workers: int = 1):
        self._workers = workers
        self._expected: dict[str, deque[Estimate]] = defaultdict(deque)
        self._side = Estimate(0)  # what is left of the one that is made now
        self._learning: dict[str, int] = {}  # whom it learns
        self._learned, self._drawn, self._judged = _Rate(), _Rate(), _Rate()
        self._bar: Any = None

    def expect(self, name: str, side: Estimate) -> None:
        """A side of this name is made later; of several of one name, in this order."""
        self._expected[name].append(side)

    @contextmanager
    def side(self, name: str, images: int) -> Iterator[None]:
        """In this block a side is made, or found complete."""
        waiting = self._expected[name]
        self._side = waiting.popleft() if waiting else Estimate(images)
        self._learning = {path.stem: photos for path, photos in self._unknown([self._side]).items()}
        left = images + sum(each.images for several in self._expected.values() for each in several)
        if self._bar is None:
            self._bar = tqdm(desc=name, total=left, bar_format=FORMAT)
        first = self._bar.n
        self._bar.total = first + left
        self._bar.set_description(name)
        yield
        self._side = Estimate(0)
        self._show(first + images - self._bar.n)
        if self._bar.n >= self._bar.total:  # the last one
            self.close()

    def found(self, images: int) -> None:
        """So many images of this side are there from earlier, or were drawn now."""
        left = max(self._side.images - images, 0)
        self._side = Estimate(left, self._side.evaluations, self._side.learning)
        self._show(images)

    def drew(self, person: Any, images: int, seconds: float, learning: float) -> None:
        """Images of this side, drawn in `seconds`; learning: seconds that the person took before."""
        if self._side.evaluations:
            self._drawn.add(images * self._side.evaluations, seconds)
        if learning and str(person) in self._learning:
            self._learned.add(self._learning.pop(str(person)), learning)
        self.found(images)

    def judged(self, images: int, seconds: float) -> None:
        """All images of this side, in `seconds`."""
        self._judged.add(images, seconds)

    def remaining(self) -> float | None:
        """Seconds until all that is expected is made; None as long as nothing of a kind was seen.

        What is complete already, and is not reached yet, counts as if it were to be made.
        """
        sides = [self._side, *(each for several in self._expected.values() for each in several)]
        learning = self._learned.of(sum(self._unknown(sides).values()))
        drawing = self._drawn.of(sum(each.images * each.evaluations for each in sides))
        if learning is None or drawing is None:
            return None
        return (learning + drawing) / self._workers + (self._judged.of(sum(each.images for each in sides)) or 0.0)

    def close(self) -> None:
        """Leave the bar as it is; a side that follows has a new one."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def _unknown(self, sides: list[Estimate]) -> dict[Path, int]:
        """Whom somebody has to learn."""
        everybody = {path: photos for side in sides for path, photos in side.learning.items()}
        return {path: photos for path, photos in everybody.items() if not path.exists()}

    def _show(self, images: int) -> None:
        seconds = self.remaining()
        left = "time left unknown yet" if seconds is None else f"{tqdm.format_interval(round(seconds))} left"
        self._bar.set_postfix_str(left, refresh=False)
        self._bar.update(images)
