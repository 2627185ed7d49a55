"""Pictures that a run judged and does not keep: its folder links to theirs, and its rows name them so."""

from pathlib import Path

from src.files.folders import within

LINKS = ("judged", "people")  # to the folders of images and of photos


def inside(folder: Path, name: str) -> bool:
    """Whether a row's picture lies in its run's folder, links followed, or in one that was linked there."""
    places = [folder, *(folder / link for link in LINKS if (folder / link).is_symlink())]
    return any(within(place, folder / name) for place in places)


def link_folders(folder: Path, images: Path, photos: Path | None) -> None:
    """Link the folders of images and of photos into a run's folder, where they are not linked yet."""
    for name, target in _targets(images, photos).items():
        if not (folder / name).is_symlink():
            (folder / name).symlink_to(target, target_is_directory=True)


def through_links(path: Path, images: Path, photos: Path | None) -> str:
    """What a row calls a picture that lies in one of the linked folders."""
    real = path.resolve()
    targets = reversed(_targets(images, photos).items())  # photos may lie in a folder within the one of images
    name, target = next(each for each in targets if real.is_relative_to(each[1]))
    return str(Path(name) / real.relative_to(target))


def _targets(images: Path, photos: Path | None) -> dict[str, Path]:
    return {name: folder.resolve() for name, folder in zip(LINKS, (images, photos), strict=True) if folder}
