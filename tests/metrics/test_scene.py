"""The manifest of a folder: what it may leave out, and everything that is wrong, by name."""

from pathlib import Path

import pytest
from PIL import Image

from src.metrics.scene import read_scene

HEAD = "file,person,prompt,seed"


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """images: 0.png of a, 1.png of b; photos: a folder for a, a file for b."""
    images, photos = tmp_path / "images", tmp_path / "photos"
    for path in (images / "0.png", images / "1.png", photos / "a" / "x.png", photos / "a" / "y.png", photos / "b.png"):
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8)).save(path)
    write(images, "0.png,a,S* in snow,0", "1.png,b,S* in snow,0")
    return images, photos


def write(images: Path, *rows: str, head: str = HEAD) -> None:
    (images / "manifest.csv").write_text("\n".join([head, *rows]) + "\n")


def test_the_first_photo_is_the_input_and_the_rest_are_others(folders: tuple[Path, Path]) -> None:
    images, photos = folders
    scene = read_scene(images, photos)
    assert scene.photos == [photos / "a" / "x.png", photos / "b.png"]
    assert scene.others == {"a": [photos / "a" / "y.png"]}
    assert [row["family"] for row in scene.rows] == ["own", "own"]


def test_a_column_may_name_the_input_photo(folders: tuple[Path, Path]) -> None:
    images, photos = folders
    write(images, "0.png,a,S*,0,../photos/a/y.png", "1.png,b,S*,0,../photos/b.png", head=HEAD + ",photo")
    assert read_scene(images, photos).others == {"a": [photos / "a" / "x.png"]}


@pytest.mark.parametrize("column", ["file", "photo", "person"])
@pytest.mark.parametrize("way", ["up", "absolute", "link", "linked folder"])
def test_a_picture_outside_its_folder_is_refused_by_name(folders: tuple[Path, Path], column: str, way: str) -> None:
    images, photos = folders
    secret = images.parent / "elsewhere" / "secret.png"
    secret.parent.mkdir()
    Image.new("RGB", (8, 8)).save(secret)
    home = photos if column == "person" else images
    name = {"up": "../elsewhere/secret.png", "absolute": str(secret), "link": "there.png"}.get(way, "l/secret.png")
    (home / "there.png").symlink_to(secret)
    (home / "l").symlink_to(secret.parent)
    row = {"file": "0.png", "person": "a", "prompt": "S*", "seed": "0", "photo": ""}
    row[column] = name.removesuffix(".png") if column == "person" else name
    write(images, ",".join(row.values()), head=",".join(row))
    with pytest.raises(ValueError, match="outside the folder") as caught:
        read_scene(images, photos)
    assert row[column] in str(caught.value)


def test_a_photo_beside_the_images_is_outside_unless_its_folder_is_given(folders: tuple[Path, Path]) -> None:
    write(folders[0], "0.png,a,S*,0,../photos/a/y.png", "1.png,b,S*,0,1.png", head=HEAD + ",photo")
    with pytest.raises(ValueError, match="outside the folder"):
        read_scene(folders[0], None)


def test_without_a_judge_of_likeness_no_photo_is_needed(folders: tuple[Path, Path]) -> None:
    assert read_scene(folders[0], None, need_photos=False).photos == []


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (["0.png,a,S*,0"], ["1 file(s) without a row", "1.png"]),
        (["0.png,a,S*,0", "1.png,b,S*,0", "7.png,b,S*,1"], ["1 row(s) without a file", "7.png"]),
        (["0.png,a,S*,0", "1.png,a,S*,0"], ["1 rows with the same person, prompt and seed", "a / S* / 0"]),
        (["0.png,a,S*,0", "1.png,b,S*,0", "0.png,a,S*,1"], ["1 row(s) with the same file", "0.png"]),
        (["0.png,a,S*,0", "1.png,zoe,S*,0"], ["1 person(s) without a photo", "zoe"]),
        (["0.png,a,S*,0", "1.png,b,,0"], ["1 row(s) with a blank cell", "1.png"]),
        (["7.png,zoe,S*,0", "1.png,b,S*,0"], ["without a file", "without a row", "without a photo"]),
        (["0.png,a,S*,0", "1.png,b,S*"], ["line(s) 3", "too few cells"]),
        ([], ["lacks rows"]),
    ],
)
def test_whatever_does_not_fit_is_listed_by_name(folders: tuple[Path, Path], rows: list[str], words: list[str]) -> None:
    write(folders[0], *rows)
    with pytest.raises(ValueError) as caught:  # noqa: PT011 (the words are checked below)
        read_scene(*folders)
    assert all(word in str(caught.value) for word in words), caught.value


def test_missing_columns_files_and_folders_are_named(folders: tuple[Path, Path], tmp_path: Path) -> None:
    images, photos = folders
    write(images, "0.png,a", head="file,person")
    with pytest.raises(ValueError, match="prompt, seed"):
        read_scene(images, photos)
    with pytest.raises(FileNotFoundError, match=r"nowhere\.csv"):
        read_scene(images, photos, tmp_path / "nowhere.csv")
    (images / "manifest.csv").unlink()
    with pytest.raises(FileNotFoundError, match="has no manifest"):
        read_scene(images, photos)
    with pytest.raises(FileNotFoundError, match="moon is no folder"):
        read_scene(tmp_path / "moon", photos)
