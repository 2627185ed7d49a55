"""One rule for every folder of pictures: whom they show, in any spelling, and what nobody put there."""

import unicodedata
from pathlib import Path

import pytest
from PIL import Image

from src.data.masks import drawn_mask
from src.data.people_folder import CONSENT, people, reference
from src.data.photos import PhotoFolder
from src.files.folders import as_written, people_in, pictures_below
from src.metrics.scene import image_files, read_scene

DEBRIS = (".thumbnails/ada.png", ".ipynb_checkpoints/ada-checkpoint.png", "@eaDir/ada.png", "__MACOSX/ada.png")
DEBRIS += ("._ada.png", "#recycle/old.jpg")
COMPOSED, IN_TWO_PARTS = (unicodedata.normalize(form, "Zoë") for form in ("NFC", "NFD"))


def picture(path: Path, grey: int = 99) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.new("RGB", (8, 8), (grey, grey, grey))
    image.save(path, format=None if Image.registered_extensions().get(path.suffix.lower()) else "PNG")
    return path


def manifest(images: Path, *rows: str) -> Path:
    for row in rows:
        picture(images / row.partition(",")[0])
    (images / "manifest.csv").write_text("\n".join(["file,person,prompt,seed", *rows]) + "\n", encoding="utf-8")
    return images


def test_only_a_file_has_a_suffix(tmp_path):
    for name in ("anna.png", "anna.b/1.png", "anna.b/2.png", "J.Doe/1.png"):
        picture(tmp_path / name)
    assert {name: len(photos) for name, photos in people_in(tmp_path).items()} == {"J.Doe": 1, "anna": 1, "anna.b": 2}
    (tmp_path / CONSENT).write_text("They agreed.")
    assert people(tmp_path) == ["J.Doe", "anna", "anna.b"]
    assert len(reference("anna", [], folder=tmp_path, size=8)) == 1
    assert drawn_mask(reference("J.Doe", [], folder=tmp_path, size=8), "J.Doe", [], folder=tmp_path).shape[0] == 1
    rows = ["0.png,anna,S*,0", "1.png,anna.b,S*,0", "2.png,J.Doe,S*,0"]
    scene = read_scene(manifest(tmp_path / "images", *rows), tmp_path)
    assert [photo.name for photo in scene.photos] == ["anna.png", "1.png", "1.png"]
    assert {name: len(photos) for name, photos in scene.others.items()} == {"anna.b": 1}


def test_what_the_system_left_there_is_nobody_and_is_counted(tmp_path):
    photos, said = tmp_path / "photos", []
    picture(photos / "ada" / "1.png")
    picture(photos / "ada" / "._1.png")
    for name in DEBRIS:
        picture(photos / name)
    (photos / CONSENT).write_text("She agreed.")
    assert people_in(photos, said.append) == {"ada": [photos / "ada" / "1.png"]}
    assert said == [
        f"7 hidden or system files and folders in {photos} are left out: #recycle, ._ada.png, .ipynb_checkpoints, "
        ".thumbnails, @eaDir, ..."
    ]
    assert len(reference("ada", [], folder=photos, size=8)) == 1
    assert image_files(photos) == [photos / "ada" / "1.png"]
    assert PhotoFolder(photos, size=8).names == ["ada/1.png"]
    indexed = PhotoFolder(photos, size=8, indexes=tmp_path / "indexes", echo=said.append)
    assert indexed.names == ["ada/1.png"] and any("7 hidden or system" in line for line in said[1:])


def test_debris_beside_judged_images_is_no_file_without_a_row(tmp_path):
    images = manifest(tmp_path / "images", "0.png,ada,S*,0")
    for name in ("._0.png", ".thumbnails/0.png", "@eaDir/0.png"):
        picture(images / name)
    picture(tmp_path / "photos" / "ada.png")
    said = []
    assert len(read_scene(images, tmp_path / "photos", echo=said.append).rows) == 1
    assert said and said[0].startswith("3 hidden or system")


@pytest.mark.parametrize("name", ["ada.JPG", "ada.tif", "ada.TIFF", "ada.Png", "ada.gif", "ada.jfif", "ada/1.WEBP"])
def test_a_photo_is_found_whatever_its_suffix(tmp_path, name):
    photo = picture(tmp_path / "photos" / name)
    scene = read_scene(manifest(tmp_path / "images", "0.png,ada,S*,0"), tmp_path / "photos")
    assert scene.photos == [photo] and list(people_in(tmp_path / "photos")) == ["ada"]
    assert image_files(tmp_path / "photos") == [photo]


@pytest.mark.parametrize(("stored", "asked"), [(COMPOSED, IN_TWO_PARTS), (IN_TWO_PARTS, COMPOSED)])
def test_a_name_is_one_name_in_both_forms_of_unicode(tmp_path, stored, asked):
    photo = picture(tmp_path / "photos" / f"{stored}.png")
    images = manifest(tmp_path / "images", f"{stored}.png,{stored},S*,0")
    text = (images / "manifest.csv").read_text(encoding="utf-8")
    (images / "manifest.csv").write_text(text.replace(stored, asked), encoding="utf-8")
    scene = read_scene(images, tmp_path / "photos")
    assert scene.photos == [photo] and scene.images == [images / f"{stored}.png"]
    assert scene.rows[0]["person"] == COMPOSED
    assert (
        len(drawn_mask(reference(asked, [], folder=tmp_path / "photos", size=8), asked, [], folder=photo.parent)) == 1
    )
    assert as_written(images / f"{asked}.png").exists() and not as_written(images / "nobody.png").exists()


def test_two_of_one_name_are_refused_where_they_are_asked_for(tmp_path):
    for name in ("bea.png", "bea/1.png", "ada.png"):
        picture(tmp_path / "photos" / name)
    with pytest.raises(ValueError, match="more than one person called 'bea'"):
        people_in(tmp_path / "photos")
    read_scene(manifest(tmp_path / "a", "0.png,ada,S*,0"), tmp_path / "photos")
    with pytest.raises(ValueError, match="more than one person called 'bea'"):
        read_scene(manifest(tmp_path / "b", "0.png,bea,S*,0"), tmp_path / "photos")


def test_links_are_followed_and_a_loop_ends(tmp_path):
    picture(tmp_path / "elsewhere" / "1.png")
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "ada").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "photos" / "again").symlink_to(tmp_path / "photos")
    assert [path.name for path in pictures_below(tmp_path / "photos")] == ["1.png"]
    assert [len(photos) for photos in people_in(tmp_path / "photos").values()] == [1]
