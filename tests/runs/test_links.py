"""Pictures that stay where they are: a run's rows lead to them through links, and to nothing else."""

from src.runs.links import inside, link_folders, through_links


def test_rows_lead_through_links_to_the_pictures(tmp_path):
    images = tmp_path / "images"
    photos = images / "photos"  # within the other folder, as people keep it
    run = tmp_path / "run"
    for folder in (photos, run):
        folder.mkdir(parents=True)
    picture, photo = images / "a.png", photos / "ada.png"
    for path in (picture, photo, tmp_path / "secret.png"):
        path.write_bytes(b"")
    link_folders(run, images, photos)
    link_folders(run, images, photos)  # a run that goes on has its links
    names = [through_links(path, images, photos) for path in (picture, photo)]
    assert names == ["judged/a.png", "people/ada.png"]
    assert [(run / name).resolve() for name in names] == [picture.resolve(), photo.resolve()]
    assert all(inside(run, name) for name in names)
    assert not inside(run, "../secret.png") and not inside(run, "judged/../secret.png/../../secret.png")


def test_without_photos_there_is_one_link(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "run").mkdir()
    link_folders(tmp_path / "run", tmp_path / "images", None)
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["judged"]
