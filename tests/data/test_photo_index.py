"""The index of a photo folder: bad files are listed, counted and bounded; nothing is looked at twice."""

import csv

import numpy as np
import pytest
from PIL import Image

from src.data.photo_index import index_file, photo_index
from src.data.photos import PhotoFolder
from src.files.pictures import decode_picture
from tests.data.test_photos import PNG, chunk, header, write


def bad_files(folder):
    """What is found in folders of photos: 3 files that can be used and 7 that cannot."""
    photo = write(folder / "sound.png", np.full((32, 32, 3), 99))
    exif = Image.Exif()
    exif[274] = 6
    Image.open(photo).save(folder / "turned.jpg", exif=exif)
    Image.new("CMYK", (32, 32)).save(folder / "printed.jpg")
    (folder / "truncated.png").write_bytes(photo.read_bytes()[:60])
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "words.webp").write_text("no image")
    (folder / "bomb.png").write_bytes(PNG + header(20_000, 20_000) + chunk(b"IDAT", b"") + chunk(b"IEND", b""))
    write(folder / "dot.png", np.zeros((1, 1, 3)))
    frames = [Image.new("L", (32, 32), level) for level in (0, 200)]
    frames[0].save(folder / "moving.gif", save_all=True, append_images=frames[1:])
    (folder / "telephone.heic").write_bytes(b"\0\0\0\x18ftypheic")
    return ["bomb.png", "dot.png", "empty.jpg", "moving.gif", "telephone.heic", "truncated.png", "words.webp"]


@pytest.fixture
def places(tmp_path):
    (tmp_path / "photos").mkdir()
    return {"folder": tmp_path / "photos", "indexes": tmp_path / "indexes"}


def test_bad_photos_are_left_out_listed_and_counted(places):
    bad, said = bad_files(places["folder"]), []
    photos = PhotoFolder(**places, size=16, max_bad=0.8, echo=said.append)
    assert photos.names == ["printed.jpg", "sound.png", "turned.jpg"]
    assert [photos[k]["image"].shape for k in range(3)] == [(3, 16, 16)] * 3
    assert "7 of 10 photos" in said[-1]
    listed = next(places["indexes"].glob("*-unusable.csv"))
    assert str(listed) in said[-1]
    with listed.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["photo"] for row in rows] == bad
    reasons = ["too large", "1x1, too small", "cannot be read", "2 frames", "cannot be read", "truncated", "no image"]
    assert all(reason in row["problem"] for row, reason in zip(rows, reasons, strict=True))


def test_too_many_bad_photos_are_an_error(places):
    bad_files(places["folder"])
    with pytest.raises(ValueError, match=r"7 of 10 photos .* more than max_bad \(69.00%\) allows.*data.train.max_bad"):
        PhotoFolder(**places, size=16, max_bad=0.69)
    with pytest.raises(ValueError, match=r"max_bad \(2\) must be a share"):
        PhotoFolder(**places, size=16, max_bad=2)


def test_a_folder_of_bad_photos_alone_is_an_error_whatever_is_allowed(places):
    (places["folder"] / "empty.png").write_bytes(b"")
    with pytest.raises(ValueError, match="1 of 1 photos"):
        PhotoFolder(**places, size=16, max_bad=1)


def test_the_index_is_made_once_and_looks_at_new_and_changed_photos_alone(places):
    seen, folder = [], places["folder"]

    def decode(path):
        seen.append(path.name)
        return decode_picture(path)

    def looked_at():
        seen.clear()
        names = [p.path for p in photo_index(folder, places["indexes"], decode=decode, echo=lambda line: None).photos]
        return sorted(seen), names

    for name in ("a.png", "deep/b.png"):
        write(folder / name, np.zeros((4, 4, 3)))
    assert looked_at() == (["a.png", "b.png"], ["a.png", "deep/b.png"])
    assert looked_at() == ([], ["a.png", "deep/b.png"])
    write(folder / "deep" / "c.png", np.zeros((4, 4, 3)))
    assert looked_at() == (["c.png"], ["a.png", "deep/b.png", "deep/c.png"])
    (folder / "a.png").unlink()
    assert looked_at() == ([], ["deep/b.png", "deep/c.png"])


def test_a_damaged_index_is_named_with_the_remedy(places):
    write(places["folder"] / "a.png", np.zeros((4, 4, 3)))
    PhotoFolder(**places, size=4)
    file = index_file(places["folder"], places["indexes"])
    file.write_text(file.read_text()[:20])
    with pytest.raises(ValueError, match=rf"{file.name} is damaged .*delete it"):
        PhotoFolder(**places, size=4)
