"""What a kit is handed out as: a page for each sheet that works offline, and a HIT for Mechanical Turk with its CSV."""

import html
import io
from collections.abc import Mapping, Sequence

from PIL import Image

from src.files import cells
from src.human.kits import Entry, Kit
from src.reports.page import encoded, filled
from src.runs.store import Row

PLACEHOLDER = "S*"
ANSWERS = {"left": "Left", "tie": "No difference", "right": "Right"}


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
        "pictures": [encoded(contents.pictures[token], pixels) for token in tokens],
    }
    return filled("rating.html", ["common.css", "rating.css"], ["rating.js"], data)


def hit_html(length: int, questions: Mapping[str, str]) -> str:
    """The layout of a HIT for the requester's site: `length` pairs of pictures, places ${...} filled by the CSV."""
    blocks = "\n".join(_hit_block(number, questions) for number in range(1, length + 1))
    return _three_bytes(filled("hit.html", ["hit.css"], [], None).replace("<!--BLOCKS-->", blocks))


def _hit_block(number: int, questions: Mapping[str, str]) -> str:
    asked = "\n".join(_hit_question(f"a{number}-{name}", ask) for name, ask in questions.items())
    figures = "".join(
        f'<figure><img src="${{{place}_{number}}}" alt="{name}"><figcaption>{name}</figcaption></figure>'
        for place, name in (("photo", "The person"), ("left", "Left"), ("right", "Right"))
    )
    return f'<section><h2>{number}. “${{prompt_{number}}}”</h2><div class="strip">{figures}</div>{asked}</section>'


def _hit_question(name: str, ask: str) -> str:
    choices = "".join(
        f'<label><input type="radio" name="{name}" value="{value}" required> {text}</label>'
        for value, text in ANSWERS.items()
    )
    return f"<fieldset><legend>{html.escape(ask)}</legend>{choices}</fieldset>"


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


def as_csv(rows: Sequence[Row]) -> bytes:
    """Rows with the same columns as CSV."""
    return cells.to_text(rows, rows[0]).encode()


def as_png(picture: Image.Image) -> bytes:
    """A PNG that carries the pixels and nothing else."""
    data = io.BytesIO()
    picture.save(data, format="PNG")
    return data.getvalue()
