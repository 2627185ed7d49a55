"""What a kit is handed out as: a page for each sheet that works offline, and a HIT for Mechanical Turk with its CSV."""

import html
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from PIL import Image

from src.files import cells
from src.files.html import data_uri, filled, parts
from src.files.rows import Row
from src.files.whole import write_atomic
from src.human.kits import ANSWERS, MARK, Entry, Kit, key_rows
from src.runs.digests import file_digest
from src.runs.store import write_csv

ASSETS = Path(__file__).parent / "assets"
PLACEHOLDER = "S*"


def write_kit(
    folder: Path, kit: Kit, *, questions: Mapping[str, str], noun: str, pixels: int, image_base: str | None
) -> None:
    """Write pages/ and images/ for raters, mturk/ for Mechanical Turk, and key.csv, which stays at home.

    image_base: the address at which images/ will lie.
    """
    name, length = f"{MARK}{folder.name}", len(next(iter(kit.sheets.values())))
    for token, picture in kit.pictures.items():
        write_atomic(folder / "images" / f"{token}.png", _pixels_alone(picture))
    for sheet in kit.sheets:
        page = sheet_page(name, sheet, kit, questions, noun, pixels)
        write_atomic(folder / "pages" / f"sheet-{sheet}.html", page.encode())
    write_atomic(folder / "mturk" / "hit.html", hit_page(length, questions).encode())
    write_csv(folder / "mturk" / "hits.csv", hit_rows(name, kit.sheets, noun, image_base or "images"))
    write_csv(folder / "key.csv", key_rows(folder.name, kit.sheets))


def assets() -> dict[str, str]:
    """The digest of each file that the pages are made of."""
    return {path.name: file_digest(path) for path in parts(ASSETS)}


def sheet_page(kit: str, sheet: str, contents: Kit, questions: Mapping[str, str], noun: str, pixels: int) -> str:
    """The page of one sheet, pictures included; it saves the ratings as CSV. noun: what S* reads as."""
    entries = contents.sheets[sheet]
    tokens = list(dict.fromkeys(token for e in entries for token in (e.photo, e.left, e.right)))
    place = {token: number for number, token in enumerate(tokens)}
    data = {
        "kit": kit,
        "sheet": sheet,
        "questions": [{"name": name, "ask": ask} for name, ask in questions.items()],
        "answers": ANSWERS,
        "entries": [
            {
                "item": e.item,
                "prompt": e.cell[1].replace(PLACEHOLDER, noun),
                "photo": place[e.photo],
                "left": place[e.left],
                "right": place[e.right],
            }
            for e in entries
        ],
        "pictures": [data_uri(contents.pictures[token], pixels) for token in tokens],
    }
    return filled(ASSETS / "rating.html", data=data)


def hit_page(length: int, questions: Mapping[str, str]) -> str:
    """The layout of a HIT for the requester's site: `length` pairs of pictures, places ${...} filled by the CSV."""
    return _three_bytes(filled(ASSETS / "hit.html", length=length, questions=questions, answers=ANSWERS))


def hit_rows(kit: str, sheets: Mapping[str, Sequence[Entry]], noun: str, image_base: str) -> list[Row]:
    """One row of the HIT's CSV for each sheet. image_base: the address of the folder that holds the pictures."""
    rows: list[Row] = []
    for sheet, entries in sheets.items():
        row: dict[str, str] = {"kit": kit, "sheet": sheet}
        for number, e in enumerate(entries, 1):
            prompt = _entities(e.cell[1].replace(PLACEHOLDER, noun))
            row |= {f"item_{number}": e.item, f"prompt_{number}": prompt}
            for place, token in (("photo", e.photo), ("left", e.left), ("right", e.right)):
                row[f"{place}_{number}"] = f"{image_base.rstrip('/')}/{token}.png"
        rows.append(row)
    return rows


def _three_bytes(page: str) -> str:
    """HTML without signs of four bytes, emoji say, of which Mechanical Turk takes none."""
    return "".join(sign if ord(sign) < 0x10000 else f"&#{ord(sign)};" for sign in page)


def _entities(prompt: str) -> str:
    """A prompt as HTML for Mechanical Turk; workers see it, so what would open a formula is an entity, not marked."""
    text = _three_bytes(html.escape(prompt))
    return f"&#{ord(text[0])};{text[1:]}" if cells.marked(text) != text else text


def _pixels_alone(picture: Image.Image) -> bytes:
    """A PNG that carries the pixels and nothing else."""
    data = io.BytesIO()
    picture.save(data, format="PNG")
    return data.getvalue()
