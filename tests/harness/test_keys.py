"""A stored run is reused by its key, so every setting that changes a number is in it: the settings are walked."""

import shutil
from pathlib import Path
from typing import Any

import hydra
import pytest
from omegaconf import DictConfig, OmegaConf
from PIL import Image

from src.harness.assembly import changed, weights_of
from src.harness.claim import decisive
from src.harness.compose import CONF, PACKAGE, settings
from src.harness.deciding import INDIFFERENT, SHARED_OUT, SIDE, file_digests
from src.harness.own_photos import OwnPhotos
from src.harness.pretraining import key_of
from src.harness.sides import Sides
from src.methods import anchors

PHOTO = Path(__file__).parents[2] / "src" / "tiny_world" / "examples" / "person-300000.png"
# what is never part of a key: where runs lie, who is told, what is printed
ELSEWHERE = ("runs", "logger", "world.notice", "world.alternative", "world.needs", "world.weights", "world.name")
AT_ONCE, MORE = {"method.class_images.batch": 3}, {"method.class_images.number": 3}
# settings of the world's training and evaluation that the other commands do not read
OF_TRAINING, OF_EVALUATION = ("data", "trainer", "preview"), ("sampler", "judges", "people_set", "prompt_set", "method")


def composed(name: str, *overrides: str) -> DictConfig:
    with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
        return hydra.compose(name, [*overrides, "world.weights=null"])


def leaves(cfg: DictConfig, *left_out: str) -> list[str]:
    """The settings that hold a value (or a list), but those at or below the left-out ones."""
    names = [name for name in settings(cfg) if name.rpartition(".")[2] not in INDIFFERENT and name != "sampler.batch"]
    below = tuple(f"{name}." for name in left_out)
    return [
        name
        for name in names
        if not any(other.startswith(f"{name}.") for other in names)
        and name not in left_out
        and not name.startswith(below)
    ]


def another(value: Any) -> Any:
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1 if isinstance(value, int) else value / 2 + 0.01
    if isinstance(value, str):
        return f"{value}x"
    return [*value, "a sketch of S* on the beach"] if OmegaConf.is_list(value) else 1


def with_another(cfg: DictConfig, name: str, given: dict[str, Any]) -> DictConfig:
    return changed(cfg, {name: given.get(name, another(OmegaConf.select(cfg, name)))})


def test_personalise_knows_every_setting():
    cfg = composed("personalise", f"photo={PHOTO}", "augmentation=${world.augmentation}")
    key, other_photo = OwnPhotos(cfg).key(), str(PHOTO.with_name("person-300001.png"))
    for name in leaves(cfg, *ELSEWHERE[:2], "world.weights"):
        assert OwnPhotos(with_another(cfg, name, {"photo": other_photo})).key() != key, name
    assert OwnPhotos(changed(cfg, {"runs": "elsewhere", "logger.mode": "online"})).key() == key


def test_a_photo_counts_by_its_content_and_where_masks_are_looked_for_by_its_name(tmp_path):
    again = shutil.copy(PHOTO, tmp_path / "somebody.png")
    for augmentation, same in (("null", True), ("${world.augmentation}", False)):
        keys = {
            OwnPhotos(composed("personalise", f"photo={p}", f"augmentation={augmentation}")).key()
            for p in (PHOTO, again)
        }
        assert (len(keys) == 1) is same


def test_a_side_of_a_study_knows_every_setting():
    cfg = composed("ablate", "augmentation=${world.augmentation}", "people=2", "prompts=2")
    key = Sides(cfg).side_key(cfg)
    # the ablation is another side; the towers are marks in its table, which has them in its own key
    left_out = (*ELSEWHERE, *OF_TRAINING, *SHARED_OUT, "ablation", "world.text_towers", "people_set._target_")
    given = {"people_set.split": "evaluation_2", "world.augmentation": None}
    for name in leaves(cfg, *left_out):
        other = with_another(cfg, name, given)
        assert Sides(other).side_key(other) != key, name
    assert Sides(cfg).side_key(cfg, fresh_noise=1) != key


def test_rounded_products_decide_every_side_of_a_study_and_of_a_claim():
    exact, rounded = (composed("ablate", f"tf32={tf32}", "people=2", "prompts=2") for tf32 in ("false", "true"))
    keys = [Sides(cfg).study().key({"anchor": "oracle_vae"}) for cfg in (exact, rounded)]
    assert keys[0] != keys[1]
    assert decisive(exact) != decisive(rounded)


def test_a_training_knows_every_setting():
    cfg = composed("train", "+experiment=tiny_pretrain")
    # what has no influence on weights or on what the validation says
    left_out = ("trainer.checkpoint_every", "trainer.validate_every", "trainer.keep", "trainer.accelerator")
    left_out += ("trainer.devices", "trainer.nodes", "data.batch", "data.workers", "resume", "preflight_only")
    key = key_of(cfg)
    for name in leaves(cfg, *ELSEWHERE, *OF_EVALUATION, "world", "preview", "trainer._target_", *left_out):
        assert key_of(with_another(cfg, name, {})) != key, name


def test_a_training_knows_its_photos(tmp_path):
    Image.new("L", (64, 64)).save(tmp_path / "0.png")
    data = ["data=ffhq", "data.train.size=64", f"data.train.folder={tmp_path}", f"data.validation.folder={tmp_path}"]
    keys = [key_of(composed("train", "+experiment=tiny_pretrain", *data))]
    Image.radial_gradient("L").resize((64, 64)).save(tmp_path / "0.png")
    keys += [key_of(composed("train", "+experiment=tiny_pretrain", *data)) for _ in range(2)]
    assert keys[0] != keys[1] == keys[2]


@pytest.mark.parametrize("place", ["weights", "./weights", "net.onnx"])
def test_a_file_counts_however_its_path_is_written(tmp_path, monkeypatch, place):
    monkeypatch.chdir(tmp_path)
    file = tmp_path / place / "a.safetensors" if "." not in place[1:] else tmp_path / place
    file.parent.mkdir(exist_ok=True)
    keys = []
    for content in (b"one", b"other, and longer"):
        file.write_bytes(content)
        own = OmegaConf.create({"world": {"weights": None}, "judges": {"model": place, "licence": "MIT"}})
        keys.append((weights_of(own, "judges"), file_digests({"model": place})))
    assert all(keys[0]) and keys[0][0] != keys[1][0] and keys[0][1] != keys[1][1]


def test_a_replaced_photo_of_somebody_behind_a_link_is_seen_and_debris_is_not(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "people").mkdir()
    (tmp_path / "people" / "ada").symlink_to(tmp_path / "elsewhere")
    own = OmegaConf.create({"world": {"weights": None, "reference": {"folder": str(tmp_path / "people")}}})
    keys = []
    for grey in (10, 200):
        Image.new("L", (8 + grey, 8), grey).save(tmp_path / "elsewhere" / "1.png")
        keys.append(weights_of(own, "world.reference"))
    (tmp_path / "people" / ".DS_Store").write_text("debris")
    assert keys[0] and keys[0] != keys[1] == weights_of(own, "world.reference")


def test_a_word_is_no_file_even_where_one_is_called_so(tmp_path, monkeypatch):
    cfg = composed("ablate", "method=tiny_dreambooth", "method.lora=given")
    monkeypatch.chdir(tmp_path)
    assert not weights_of(cfg, "method")
    for word in ("person", "sks", "a photo of S*", "given"):
        (tmp_path / word).write_text("one")
    assert list(weights_of(cfg, "method")) == ["given"]


def test_images_of_a_class_at_once_decide_nobody():
    cfg = composed("ablate", "method=tiny_dreambooth")
    keys = [Sides(changed(cfg, change)).people_folder(changed(cfg, change)) for change in ({}, AT_ONCE, MORE)]
    assert keys[0] == keys[1] != keys[2]


def test_the_code_of_floors_and_ceilings_is_part_of_every_key():
    assert Path(anchors.anchor_makers.__code__.co_filename) in {PACKAGE / part for part in SIDE}
