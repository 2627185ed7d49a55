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


@pytest.mark.parametrize(
    ("mode", "colour", "grey"),
    [
        ("CMYK", (0, 0, 0, 255), 0),
        ("L", 128, 128),
        ("1", 1, 255),
        ("P", 0, 0),
        ("RGBA", (9, 9, 9, 0), 255),
        ("LA", (7, 255), 7),
    ],
)
def test_every_kind_of_pixel_becomes_rgb(tmp_path, mode, colour, grey):
    """Printers' colours, palettes, and transparency, which lies on white."""
    path = tmp_path / ("photo.jpg" if mode == "CMYK" else "photo.png")
    Image.new(mode, (8, 8), colour).save(path)
    read = (read_photo(path, 4) + 1) * 127.5
    assert (read - grey).abs().max() < 2


def test_sixteen_bits_are_scaled_and_not_cut_off(tmp_path):
    levels = np.linspace(0, 65535, 16, dtype=np.uint16).reshape(4, 4)
    Image.fromarray(levels).save(tmp_path / "deep.png")
    read = (read_photo(tmp_path / "deep.png", 4) + 1) / 2
    assert np.abs(read[0].numpy() - levels / 65535).max() < 1 / 255


def test_a_still_gif_is_a_photo_and_a_moving_one_is_not(tmp_path):
    frames = [Image.new("L", (8, 8), level) for level in (0, 200)]
    frames[1].save(tmp_path / "still.gif")
    assert read_photo(tmp_path / "still.gif", 8).mean() == pytest.approx(200 / 127.5 - 1)
    frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:])
    with pytest.raises(ValueError, match=r"moving.gif holds 2 frames and is no photo: give one of them"):
        read_photo(tmp_path / "moving.gif", 8)


def test_a_photo_of_next_to_no_pixels_is_refused(tmp_path):
    write(tmp_path / "dot.png", np.zeros((1, 1, 3)))
    with pytest.raises(ValueError, match=r"dot.png is 1x1, too small for 64x64 pixels: give a larger one"):
        read_photo(tmp_path / "dot.png", 64)
    write(tmp_path / "small.png", np.zeros((16, 20, 3)))
    assert read_photo(tmp_path / "small.png", 64).shape == (3, 64, 64)


def grey_levels(photos):
    return [round(float(photos[k]["image"].mean() + 1) * 127.5) for k in range(len(photos))]


def ffhq(folder, photos=6, in_one_folder=3):
    """The published layout, small: 00000/00000.png, ..., 00001/00003.png, ..."""
    for k in range(photos):
        first = k // in_one_folder * in_one_folder
        write(folder / f"{first:05d}" / f"{k:05d}.png", np.full((4, 4, 3), 10 * k))
    (folder / "LICENSE.txt").write_text("no photo")
    (folder / ".00000.png").write_text("debris of a file manager")
    return folder


def test_the_published_layout_is_read_in_order_and_split(tmp_path):
    folder = ffhq(tmp_path / "images1024x1024")
    whole = PhotoFolder(folder, size=4)
    assert whole.names == [f"{k // 3 * 3:05d}/{k:05d}.png" for k in range(6)]
    assert grey_levels(whole) == [0, 10, 20, 30, 40, 50]
    parts = {part: PhotoFolder(folder, size=4, part=part, held_out=0.3) for part in ("train", "validation")}
    assert {part: grey_levels(photos) for part, photos in parts.items()} == {
        "train": [0, 10, 20, 30],
        "validation": [40, 50],
    }


def test_parts_that_cannot_be_are_named(tmp_path):
    folder = ffhq(tmp_path, photos=1)
    assert len(PhotoFolder(folder, size=4, part="validation")) == 1
    with pytest.raises(ValueError, match=r"1 photo leaves none for part train: give at least 2"):
        PhotoFolder(folder, size=4, part="train")
    with pytest.raises(ValueError, match=r"part \(test\)"):
        PhotoFolder(folder, size=4, part="test")
    with pytest.raises(ValueError, match=r"held_out \(1.0\) must be in \(0, 1\)"):
        PhotoFolder(folder, size=4, held_out=1.0)


def test_a_folder_without_photos_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="no photos"):
        PhotoFolder(tmp_path, size=4)
    with pytest.raises(FileNotFoundError, match=r"there is no folder .*nowhere"):
        PhotoFolder(tmp_path / "nowhere", size=4)
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
