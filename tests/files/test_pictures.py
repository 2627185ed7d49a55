"""One reader for every picture: trainers, judges, raters and pages see the same pixels."""

import base64
import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from src.data.photos import read_photo
from src.files.html import data_uri
from src.files.pictures import decode_picture, pixel_digest
from src.human.kits import make_kit
from src.metrics.pictures import Album, read_picture
from src.reports.grids import image_grid
from src.runs.sides import Side

SIZE = 16
UPRIGHT = np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)
GREY = np.arange(SIZE * SIZE, dtype=np.uint16).reshape(SIZE, SIZE) * 256


def turned(path, orientation):
    """The upright picture as a phone stores it that was held otherwise."""
    back = {3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}
    exif = Image.Exif()
    exif[274] = orientation
    Image.fromarray(UPRIGHT).transpose(back[orientation]).save(path, exif=exif)


def transparent(path):
    """The upright picture; what lies under the transparent half is noise that nobody sees."""
    alpha = np.full((SIZE, SIZE, 1), 255, dtype=np.uint8)
    alpha[:, SIZE // 2 :] = 0
    Image.fromarray(np.concatenate([UPRIGHT, alpha], 2)).save(path)


def transparent_grey(path):
    """16 bits of grey of which the level 0 is called transparent: the tRNS chunk that Pillow does not write."""
    Image.fromarray(GREY).save(path)
    content = path.read_bytes()
    chunk = b"tRNS" + struct.pack(">H", 0)
    place = content.index(b"IDAT") - 4
    path.write_bytes(
        content[:place] + struct.pack(">I", 2) + chunk + struct.pack(">I", zlib.crc32(chunk)) + content[place:]
    )


def on_white():
    shown = UPRIGHT.copy()
    shown[:, SIZE // 2 :] = 255
    return shown


def grey(clear=False):
    levels = np.round(GREY / 257).astype(np.uint8)
    return np.repeat(np.where(GREY == 0, 255, levels)[..., None] if clear else levels[..., None], 3, 2)


KINDS = {
    "turned_by_90.png": (lambda path: turned(path, 6), UPRIGHT),
    "turned_by_180.png": (lambda path: turned(path, 3), UPRIGHT),
    "turned.tif": (lambda path: turned(path, 8), UPRIGHT),
    "deep.png": (lambda path: Image.fromarray(GREY).save(path), grey()),
    "deep.tif": (lambda path: Image.fromarray(GREY).save(path), grey()),
    "clear.png": (transparent, on_white()),
    "clear_grey.png": (transparent_grey, grey(clear=True)),
}


def shown_on_a_page(path):
    with Image.open(io.BytesIO(base64.b64decode(data_uri(decode_picture(path), 128).partition(",")[2]))) as picture:
        return np.asarray(picture.convert("RGB"))


def shown_to_raters(path):
    row = {"person": "a", "prompt": "S*", "seed": "0", "file": path.name, "photo": path.name}
    sides = [Side(name, name, path.parent, [row], {}, {}) for name in ("one", "other")]
    kit = make_kit(sides, raters=1, items=None, per_sheet=1, checks=1, seed=0)
    entry = next(entry for entry in kit.sheets["s001"] if not entry.expected)
    return np.asarray(kit.pictures[entry.photo])


def in_a_grid(path):
    sheet = np.asarray(image_grid([[path]]))
    return sheet[4:-4:8, 4:-4:8]  # enlarged by whole pixels


READERS = {
    "training": lambda path: np.round((read_photo(path, SIZE).permute(1, 2, 0).numpy() + 1) * 127.5).astype(np.uint8),
    "judges": lambda path: read_picture(path).permute(1, 2, 0).numpy(),
    "album": lambda path: Album([path]).decode([path])[0].permute(1, 2, 0).numpy(),
    "page": shown_on_a_page,
    "raters": shown_to_raters,
    "grid": in_a_grid,
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("kind", KINDS)
def test_whoever_looks_sees_the_picture_upright_in_8_bits_and_on_white(tmp_path, kind, reader):
    write, wanted = KINDS[kind]
    write(tmp_path / kind)
    assert np.array_equal(READERS[reader](tmp_path / kind), wanted)


def test_a_picture_is_known_by_what_it_shows(tmp_path):
    Image.fromarray(UPRIGHT).save(tmp_path / "plain.png")
    turned(tmp_path / "turned.png", 6)
    Image.fromarray(255 - UPRIGHT).save(tmp_path / "other.png")
    same, again, other = (pixel_digest(tmp_path / f"{name}.png") for name in ("plain", "turned", "other"))
    assert same == again != other
    wide = np.pad(UPRIGHT, ((0, 0), (6, 6), (0, 0)))
    Image.fromarray(wide).save(tmp_path / "wide.png")
    assert pixel_digest(tmp_path / "wide.png", SIZE) == same


def test_what_moves_is_no_picture_to_anybody(tmp_path):
    frames = [Image.new("L", (8, 8), level) for level in (0, 200)]
    frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:])
    with pytest.raises(ValueError, match=r"moving\.gif holds 2 frames"):
        decode_picture(tmp_path / "moving.gif")
    with pytest.raises(ValueError, match=r"1 image\(s\).*moving\.gif"):
        Album([tmp_path / "moving.gif"]).decode([tmp_path / "moving.gif"])
