"""Copy-paste, diversity, the right prompt, anchors: in closed form, with a judge whose embedding is a mean colour."""

from pathlib import Path

import pytest
import torch
from PIL import Image

from src.metrics.columns import FaceRule, copy_paste, diversity
from src.metrics.embeddings import Embeddings, prompt_key
from src.metrics.evaluation import Evaluation, evaluation_of
from src.metrics.identity import Identity
from src.metrics.scene import read_scene
from src.metrics.text_similarity import TextSimilarity
from src.metrics.walk import embed_scene

RED, GREEN, BLUE, WHITE = (255, 128, 128), (128, 255, 128), (128, 128, 255), (255, 255, 255)  # 128 is 0


def colour(path: Path, rgb: tuple[int, int, int]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (112, 112), rgb).save(path)


@pytest.fixture
def evaluated(tmp_path: Path, clip_folder: Path, nets: Path) -> Evaluation:
    """Person a (photos red and green), person b (photo blue). Images: two seeds of one prompt, and another."""
    for name, rgb in (("a/0", RED), ("a/1", GREEN), ("b", BLUE)):
        colour(tmp_path / "photos" / f"{name}.png", rgb)
    images = {"0": RED, "1": WHITE, "2": BLUE}
    for name, rgb in images.items():
        colour(tmp_path / "images" / f"{name}.png", rgb)
    rows = ["file,person,prompt,seed", "0.png,a,S* in snow,0", "1.png,a,S* in snow,1", "2.png,b,S* in a red hat,0"]
    (tmp_path / "images" / "manifest.csv").write_text("\n".join(rows) + "\n")
    mean = Identity(name="mean", model=str(nets / "mean.onnx"))
    image = Identity(name="colour", model=str(nets / "mean.onnx"))
    judges = {
        "text": [TextSimilarity(name="t", model=f"local-dir:{clip_folder}")],
        "identity": [mean],
        "image": [image],
    }
    scene = read_scene(tmp_path / "images", tmp_path / "photos")
    return evaluation_of(embed_scene(scene, judges, generic="a person"), FaceRule())


def test_likeness_copy_paste_and_diversity_of_colours(evaluated: Evaluation) -> None:
    third = 3**-0.5  # cosine of white with a pure colour
    columns = evaluated.columns
    assert columns["identity/mean"] == pytest.approx([1, third, 1], abs=0.02)
    assert columns["copy_paste/mean"][:2] == pytest.approx([1, 0], abs=0.02) and columns["copy_paste/mean"][2] == ""
    assert columns["diversity/colour"][:2] == pytest.approx([1 - third] * 2, abs=0.02)
    assert columns["diversity/colour"][2] == ""
    assert columns["faces/mean"] == [1, 1, 1] and columns["face_found"] == [1, 1, 1]


def test_anchors_are_the_copied_photo_other_people_and_other_photos(evaluated: Evaluation) -> None:
    anchors = evaluated.anchors
    assert set(anchors) == {"copy", "other", "same"}
    assert [row["identity/mean"] for row in anchors["copy"]] == pytest.approx([1, 1, 1], abs=1e-5)
    assert [row["identity/mean"] for row in anchors["other"]] == pytest.approx([0, 3**-0.5, 0], abs=0.02)
    assert [row["identity/mean"] for row in anchors["same"]] == pytest.approx([0, 0], abs=0.02)
    assert anchors["copy"][0]["text/t"] == pytest.approx(
        evaluated.columns["text/t"][0], abs=1e-5
    )  # image 0 is the photo


def test_a_prompt_is_right_where_no_other_is_nearer(clip_folder: Path, tmp_path: Path) -> None:
    """Two images, each judged under both prompts: exactly one of the two is right."""
    judge = TextSimilarity(name="t", model=f"local-dir:{clip_folder}")
    for number, rgb in enumerate((RED, BLUE)):
        for again in "ab":
            colour(tmp_path / f"{number}{again}.png", rgb)
    prompts = {"a": "a person in snow", "b": "a person in a red hat"}
    rows = [f"{n}{again}.png,{n},{prompts[again]},0" for n in (0, 1) for again in "ab"]
    (tmp_path / "manifest.csv").write_text("\n".join(["file,person,prompt,seed", *rows]) + "\n")
    scene = read_scene(tmp_path, None, need_photos=False)
    columns = evaluation_of(embed_scene(scene, {"text": [judge]}, generic="a person"), FaceRule()).columns
    score, right = columns["text/t"], columns["right/t"]
    assert [right[0] + right[1], right[2] + right[3]] == [1, 1]
    assert right == [
        int(score[0] > score[1]),
        int(score[1] > score[0]),
        int(score[2] > score[3]),
        int(score[3] > score[2]),
    ]


def test_copy_paste_does_not_punish_a_likeness_to_all_photos(nets: Path) -> None:
    judge, seen = Identity(name="m", model=str(nets / "mean.onnx")), Embeddings()
    keys = [prompt_key(word) for word in "abc"]
    vectors = torch.nn.functional.normalize(torch.tensor([[1.0, 1, 0], [1, 0, 0], [0, 1, 0]]), dim=-1)
    seen.add(keys, vectors, torch.ones(3))
    assert copy_paste(judge, seen, keys[:1], keys[1:2], [keys[2:]]) == pytest.approx([0])
    assert copy_paste(judge, seen, keys[:1], keys[1:2], [keys[1:2]]) == [""]  # photos that cannot be told apart


def test_equal_images_have_no_diversity(nets: Path) -> None:
    judge = Identity(name="m", model=str(nets / "mean.onnx"))
    vectors = torch.tensor([[1.0, 0], [1, 0], [0, 1]])
    assert diversity(judge, vectors, ["x", "x", "y"]) == [0, 0, ""]
    assert diversity(judge, vectors, ["x"] * 3) == pytest.approx([0.5, 0.5, 1])


@pytest.mark.parametrize(
    ("none", "several", "wanted"),
    [
        ("zero", "largest", [0.0, 0.5, 0.25]),
        ("excluded", "zero", ["", 0.5, 0.0]),
        ("zero", "excluded", [0.0, 0.5, ""]),
    ],
)
def test_the_rule_for_faces(none: str, several: str, wanted: list) -> None:
    assert FaceRule(none, several)(torch.tensor([torch.nan, 0.5, 0.25]), torch.tensor([0, 1, 2])) == wanted


def test_an_unknown_rule_is_refused() -> None:
    with pytest.raises(ValueError, match=r"faces\.none \(dropped\)"):
        FaceRule("dropped")


def test_a_photo_without_a_face_is_named(tmp_path: Path) -> None:
    pytest.importorskip("dlib")
    from src.metrics.dlib_identity import DlibIdentity

    colour(tmp_path / "photos" / "a.png", RED)
    colour(tmp_path / "images" / "0.png", RED)
    (tmp_path / "images" / "manifest.csv").write_text("file,person,prompt,seed\n0.png,a,S*,0\n")
    scene = read_scene(tmp_path / "images", tmp_path / "photos")
    with pytest.raises(ValueError, match=r"dlib finds no face in the photo\(s\) .*a\.png"):
        embed_scene(scene, {"identity": [DlibIdentity(name="dlib")]}, generic="a person")
