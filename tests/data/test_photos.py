"""Photos from files: what is cut and turned, which files a folder gives, and what is refused."""

import struct
import zlib

import numpy as np
import pytest
import torch
from PIL import Image

from src.data.photos import PhotoFolder, read_photo, read_photos


def write(path, pixels, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(pixels, np.uint8)).save(path, **options)
    return path


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def test_a_photo_is_turned_cut_to_its_centre_and_scaled_to_minus_one_to_one(tmp_path):
    pixels = np.zeros((8, 16, 3))
    pixels[:, 4:8] = 255  # the left half of the central square
    read = read_photo(write(tmp_path / "wide.png", pixels), 8)
    assert read.shape == (3, 8, 8)
    assert (read[..., :4] == 1).all() and (read[..., 4:] == -1).all()
    exif = Image.Exif()
    exif[274] = 6  # to be turned by a quarter, clockwise: left becomes up
    turned = read_photo(write(tmp_path / "turned.png", pixels, exif=exif), 8)
    assert torch.equal(turned, read.transpose(1, 2))


def test_several_photos_are_stacked(tmp_path):
    paths = [write(tmp_path / f"{k}.png", np.full((4, 4, 3), k)) for k in (0, 255)]
    assert read_photos(paths, 4).mean((1, 2, 3)).tolist() == [-1, 1]
    assert read_photos(str(paths[0]), 4).shape == (1, 3, 4, 4)
    with pytest.raises(ValueError, match="at least one path"):
        read_photos([], 4)


def grey_levels(photos):
    return [round(float(photo.mean() + 1) * 127.5) for photo in photos]


def test_a_folder_is_split_by_number(tmp_path):
    for k in range(6):
        write(tmp_path / str(k // 3) / f"{k}.png", np.full((4, 4, 3), 10 * k))
    (tmp_path / "notes.txt").write_text("no photo")
    train, validation = PhotoFolder(tmp_path, size=4, count=4), PhotoFolder(tmp_path, size=4, first=4)
    assert (len(train), len(validation)) == (4, 2)
    assert [grey_levels(photos[i] for i in range(len(photos))) for photos in (train, validation)] == [
        [0, 10, 20, 30],
        [40, 50],
    ]
    assert len(PhotoFolder(tmp_path, size=4)) == 6


@pytest.mark.parametrize(("first", "count"), [(6, None), (4, 3), (-1, 2), (0, 0)])
def test_more_photos_than_there_are_is_an_error(tmp_path, first, count):
    for k in range(6):
        write(tmp_path / f"{k}.png", np.zeros((4, 4, 3)))
    with pytest.raises(ValueError, match=rf"first \({first}\) and count \({count}\) must choose from the 6"):
        PhotoFolder(tmp_path, size=4, first=first, count=count)


def test_a_folder_without_photos_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="no photos"):
        PhotoFolder(tmp_path, size=4)
    with pytest.raises(FileNotFoundError, match="does not exist"):
        read_photo(tmp_path / "none.png", 4)


PNG = b"\x89PNG\r\n\x1a\n"


def header(width: int, height: int) -> bytes:
    return chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))


def too_much_text() -> bytes:
    """A text chunk that unpacks to 10 MB, beyond what Pillow reads (it raises ValueError)."""
    return PNG + header(4, 4) + chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(10**7))) + chunk(b"IEND", b"")


DAMAGED = {
    "empty.png": b"",
    "text.jpg": b"no image at all",
    "cut.png": PNG + header(4, 4)[:15],
    "short.png": PNG + header(4, 4) + chunk(b"IDAT", zlib.compress(bytes(5))) + chunk(b"IEND", b""),
    "text_bomb.png": too_much_text(),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_photo_is_named_with_the_remedy(tmp_path, name):
    (tmp_path / name).write_bytes(DAMAGED[name])
    with pytest.raises(ValueError, match=rf"{name} cannot be read as an image .*give another file") as caught:
        read_photo(tmp_path / name, 4)
    assert "\n" not in str(caught.value)


def test_a_photo_of_too_many_pixels_is_named_with_the_remedy(tmp_path):
    """A few bytes that claim 400 megapixels."""
    (tmp_path / "bomb.png").write_bytes(PNG + header(20_000, 20_000) + chunk(b"IDAT", b"") + chunk(b"IEND", b""))
    with pytest.raises(ValueError, match=r"bomb.png is too large .*give a smaller copy"):
        read_photo(tmp_path / "bomb.png", 4)
