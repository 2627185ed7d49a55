"""A blinded kit for people to judge: pairs of pictures in random order and on random sides, with attention checks."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path

import numpy as np
from PIL import Image

from src.files.pictures import decode_picture
from src.files.rows import CELL, Cell
from src.runs.sides import Side

MARK = "kit-"  # before a kit's name in files that are handed out, or a spreadsheet might take it for a number
ANSWERS = {"left": "Left", "tie": "No difference", "right": "Right"}
TILES = 8  # a broken picture is cut into TILES x TILES pieces
CLEAN, BROKEN = "the whole picture", "the broken picture"


@dataclass(frozen=True)
class Entry:
    """One question's pictures, as tokens that tell nothing, and what the key says of them.

    left, right: tokens; left_run, right_run: whose they are; expected: the answer to an attention check, else "".
    """

    item: str
    cell: Cell
    photo: str
    left: str
    right: str
    left_run: str
    right_run: str
    expected: str = ""


@dataclass
class Kit:
    """Sheets, sheet -> entries in the order in which a rater sees them, and pictures, token -> picture."""

    sheets: dict[str, list[Entry]] = field(default_factory=dict)
    pictures: dict[str, Image.Image] = field(default_factory=dict)


def make_kit(sides: Sequence[Side], *, raters: int, items: int | None, per_sheet: int, checks: int, seed: int) -> Kit:
    """Every pair of runs on the same people, prompts and seeds; each pair of pictures is on `raters` sheets.

    items: at most so many pairs of pictures for each pair of runs, people in turn; None: all. per_sheet: at most so
    many pairs of pictures on a sheet, besides `checks` attention checks (a picture beside itself cut to pieces). All
    sheets have the same length. A pair stands as often one way round as the other, to within one.

    Raises:
        ValueError: fewer than two runs or raters; runs that don't have the same people, prompts and seeds; a row
            without photo or picture; each named.
    """
    if len(sides) < 2:
        raise ValueError(f"a kit needs at least two runs to be compared, not {len(sides)}")
    for name, value in (("raters", raters), ("items", items), ("per_sheet", per_sheet), ("checks", checks)):
        if value is not None and value < 1:
            raise ValueError(f"{name} ({value}) must be at least 1")
    _check_complete(sides)
    layout = _Layout(sides, np.random.default_rng(seed))
    cells = _in_turn(list(sides[0].cells()), layout.rng)[:items]
    every = [(a, b, cell, layout.token()) for a, b in combinations(sides, 2) for cell in cells]
    blocks = np.array_split(layout.rng.permutation(len(every)), -(-len(every) // per_sheet))
    longest = len(blocks[0])
    for number, block in enumerate(blocks):
        first = layout.rng.integers(2, size=len(block))
        for rater in range(raters):
            pairs = [layout.pair(*every[k], flip=bool((first[i] + rater) % 2)) for i, k in enumerate(block)]
            wanted = checks + longest - len(block)
            tests = [layout.check(*every[layout.rng.choice(block)][:3]) for _ in range(wanted)]
            entries = [*pairs, *tests]
            layout.rng.shuffle(entries)  # type: ignore[arg-type]
            layout.kit.sheets[f"s{number * raters + rater + 1:03d}"] = entries
    return layout.kit


class _Layout:
    """A kit in the making: names its pictures by tokens, each picture once."""

    def __init__(self, sides: Sequence[Side], rng: np.random.Generator):
        self.kit, self.rng = Kit(), rng
        self._rows = {side.name: side.cells() for side in sides}
        self._tokens: dict[Path, str] = {}

    def token(self) -> str:
        """A name that tells nothing; it begins with a letter, or a spreadsheet might take it for a number."""
        return f"p{self.rng.bytes(6).hex()}"

    def file(self, path: Path) -> str:
        """The token of a file's picture."""
        path = path.resolve()
        if path not in self._tokens:
            self._tokens[path] = self._add(decode_picture(path))
        return self._tokens[path]

    def _add(self, picture: Image.Image) -> str:
        token = self.token()
        self.kit.pictures[token] = picture
        return token

    def pair(self, a: Side, b: Side, cell: Cell, item: str, *, flip: bool) -> Entry:
        """The pictures of both runs; a stands on the right if `flip`."""
        left, right = (b, a) if flip else (a, b)
        photo = self.file(a.file(self._rows[a.name][cell]["photo"]))
        one, other = (self.file(side.file(self._rows[side.name][cell]["file"])) for side in (left, right))
        return Entry(item, cell, photo, one, other, left.name, right.name)

    def check(self, a: Side, b: Side, cell: Cell) -> Entry:
        """A picture of one of the runs beside the same cut to pieces."""
        side = (a, b)[self.rng.integers(2)]
        row = self._rows[side.name][cell]
        whole = self.file(side.file(row["file"]))
        broken = self._add(_broken(self.kit.pictures[whole], self.rng))
        about = (self.token(), cell, self.file(side.file(row["photo"])))
        if self.rng.integers(2):
            return Entry(*about, broken, whole, BROKEN, CLEAN, "right")
        return Entry(*about, whole, broken, CLEAN, BROKEN, "left")


def _check_complete(sides: Sequence[Side]) -> None:
    every = list(dict.fromkeys(cell for side in sides for cell in side.cells()))
    problems = []
    for side in sides:
        rows = side.cells()
        missing = [" / ".join(cell) for cell in every if cell not in rows]
        blank = [" / ".join(cell) for cell, row in rows.items() if not row.get("file") or not row.get("photo")]
        lost = sorted({row["photo"] for row in side.rows if row.get("photo") and not side.file(row["photo"]).is_file()})
        problems += [f"{side.name} lacks {'; '.join(missing)}"] if missing else []
        problems += [f"{side.name} has no picture or no photo of {'; '.join(blank)}"] if blank else []
        problems += [f"{side.name} lacks the photos {', '.join(lost)}"] if lost else []
    if problems:
        raise ValueError(f"people cannot compare these runs by {', '.join(CELL)}: {'; '.join(problems)}")


def _in_turn(cells: Sequence[Cell], rng: np.random.Generator) -> list[Cell]:
    """The cells in random order, one of each person in turn."""
    shuffled = [cells[k] for k in rng.permutation(len(cells))]
    seen: Counter[str] = Counter()
    rounds = []
    for cell in shuffled:
        seen[cell[0]] += 1
        rounds.append((seen[cell[0]], cell))
    return [cell for _, cell in sorted(rounds, key=lambda pair: pair[0])]


def _broken(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """The picture cut into tiles that lie in a wrong order."""
    pixels = np.asarray(picture)
    height, width = (size // TILES for size in pixels.shape[:2])
    tiles = [pixels[i * height : (i + 1) * height, j * width : (j + 1) * width] for i, j in np.ndindex(TILES, TILES)]
    order = rng.permutation(TILES * TILES).reshape(TILES, TILES)
    rows = [np.hstack([tiles[k] for k in row]) for row in order]
    return Image.fromarray(np.vstack(rows))


def key_rows(kit: str, sheets: Mapping[str, Sequence[Entry]]) -> list[dict[str, str]]:
    """The key of a kit, by which ratings are read; it stays at home."""
    return [
        {
            "kit": kit,
            "sheet": sheet,
            "item": entry.item,
            **dict(zip(CELL, entry.cell, strict=True)),
            "left": entry.left_run,
            "right": entry.right_run,
            "expected": entry.expected,
        }
        for sheet, entries in sheets.items()
        for entry in entries
    ]
