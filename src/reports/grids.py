"""Pictures side by side with readable labels: a grid of rows and columns, of runs, and a contact sheet."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from src.files.pictures import decode_picture
from src.runs.run import Run

Picture = np.ndarray | Image.Image | Path | str  # uint8 [H, W, 3], or where it lies
SIDE = 128  # small pictures are enlarged by a whole factor to about this many pixels
GAP, FONT_SIZE = 4, 13
INK, PAPER, BLANK = "#111111", "#ffffff", "#e8e8e8"


def image_grid(
    rows: Sequence[Sequence[Picture | None]],
    row_labels: Sequence[str] = (),
    column_labels: Sequence[str] = (),
) -> Image.Image:
    """Pictures in rows under column labels, beside row labels. None is an empty cell.

    All cells have the size of the first picture, times a whole factor if it is small (64 -> 128 px, no blur).
    ValueError if rows differ in length, labels don't fit their number, or there is no picture.
    """
    _check(rows, row_labels, column_labels)
    opened = [[None if picture is None else _open(picture) for picture in row] for row in rows]
    cell = _cell_size([picture for row in opened for picture in row if picture is not None])
    texts = [_wrap(label, 2 * SIDE) for label in row_labels]
    left = max((_text_size(text)[0] for text in texts), default=0) + (2 * GAP if texts else 0)
    heads = [_wrap(label, cell[0]) for label in column_labels]
    top = max((_text_size(head)[1] for head in heads), default=0) + (2 * GAP if heads else 0)
    width, height = cell[0] + GAP, cell[1] + GAP
    sheet = Image.new("RGB", (left + width * len(rows[0]) + GAP, top + height * len(rows) + GAP), PAPER)
    for j, head in enumerate(heads):
        _write(sheet, head, left + GAP + j * width, top - _text_size(head)[1] - GAP)
    for i, row in enumerate(opened):
        if texts:
            _write(sheet, texts[i], GAP, top + i * height + GAP + (cell[1] - _text_size(texts[i])[1]) // 2)
        for j, picture in enumerate(row):
            sheet.paste(_fit(picture, cell), (left + GAP + j * width, top + GAP + i * height))
    return sheet


def side_grid(sides: Mapping[str, Run], people: int | None = None) -> Image.Image:
    """For each person a row of each side; columns: the photo, then prompts x seeds. people: the first; None: all."""
    first = next(iter(sides.values())).scores()
    columns = list(dict.fromkeys((row["prompt"], row["seed"]) for row in first))
    rows, labels = [], []
    for person in list(dict.fromkeys(row["person"] for row in first))[:people]:
        for name, run in sides.items():
            drawn = {(row["prompt"], row["seed"]): row for row in run.scores() if row["person"] == person}
            photo = run.path(next(iter(drawn.values()))["photo"])
            rows.append([photo, *(run.path(drawn[column]["file"]) for column in columns)])
            labels.append(f"{person} {name}")
    return image_grid(rows, labels, ["photo", *(prompt for prompt, _ in columns)])


def contact_sheet(pictures: Sequence[Picture], captions: Sequence[str] = (), columns: int = 4) -> Image.Image:
    """All pictures, `columns` to a row, each with its caption below. ValueError if there is no picture."""
    if not pictures or len(captions) not in (0, len(pictures)):
        raise ValueError(f"a contact sheet needs pictures and a caption for each, not {len(captions)}")
    opened = [_open(picture) for picture in pictures]
    cell = _cell_size(opened)
    texts = [_wrap(caption, cell[0]) for caption in captions] or [""] * len(opened)
    size = (cell[0], cell[1] + max(_text_size(text)[1] for text in texts) + (2 * GAP if captions else 0))
    columns = min(columns, len(opened))
    tiles = [Image.new("RGB", size, PAPER) for _ in range(-(-len(opened) // columns) * columns)]
    for tile, picture, text in zip(tiles, opened, texts, strict=False):  # the last line may have blank ones
        tile.paste(_fit(picture, cell))
        _write(tile, text, 0, cell[1] + GAP)
    return image_grid([tiles[k : k + columns] for k in range(0, len(tiles), columns)])


def _check(rows: Sequence[Sequence[object]], row_labels: Sequence[str], column_labels: Sequence[str]) -> None:
    lengths = {len(row) for row in rows}
    if len(lengths) != 1 or not any(picture is not None for row in rows for picture in row):
        raise ValueError(f"a grid needs pictures in rows of one length, not of lengths {sorted(lengths)}")
    for what, labels, wanted in (("row", row_labels, len(rows)), ("column", column_labels, len(rows[0]))):
        if len(labels) not in (0, wanted):
            raise ValueError(f"{len(labels)} {what} labels for {wanted} {what}s of pictures")


def _open(picture: Picture) -> Image.Image:
    if isinstance(picture, np.ndarray):
        return Image.fromarray(picture).convert("RGB")
    if isinstance(picture, Image.Image):
        return picture.convert("RGB")
    return decode_picture(picture)


def _cell_size(pictures: Sequence[Image.Image]) -> tuple[int, int]:
    width, height = pictures[0].size
    factor = max(1, round(SIDE / width))
    return width * factor, height * factor


def _fit(picture: Image.Image | None, cell: tuple[int, int]) -> Image.Image:
    """The picture as large as the cell allows, centred; enlarged by whole pixels, reduced smoothly."""
    field = Image.new("RGB", cell, BLANK)
    if picture is not None:
        scale = min(cell[0] / picture.width, cell[1] / picture.height)
        size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
        smooth = Image.Resampling.LANCZOS if scale < 1 else Image.Resampling.NEAREST
        field.paste(picture.resize(size, smooth), ((cell[0] - size[0]) // 2, (cell[1] - size[1]) // 2))
    return field


def _font() -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    return ImageFont.load_default(FONT_SIZE)


def _text_size(text: str) -> tuple[int, int]:
    """(width, height) in pixels of text that may have several lines."""
    if not text:
        return 0, 0
    lines = text.split("\n")
    return round(max(_font().getlength(line) for line in lines)) + 1, round(len(lines) * FONT_SIZE * 1.3)


def _wrap(text: str, width: int) -> str:
    """The text broken between words into lines of at most `width` pixels; a wider word stays whole."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if _font().getlength(longer) <= width or not lines[-1]:
            lines[-1] = longer
        else:
            lines.append(word)
    return "\n".join(lines)


def _write(sheet: Image.Image, text: str, x: int, y: int) -> None:
    for number, line in enumerate(text.split("\n")):
        ImageDraw.Draw(sheet).text((x, y + round(number * FONT_SIZE * 1.3)), line, INK, _font())
