"""A digest changes with each of its ingredients and with nothing else."""

import hashlib

import pytest

from src.results.digests import code_digest, digest, file_digest

CONFIG = {"sampler": {"gamma": 0.6, "steps": 25}, "prompts": ["a photo of S*"]}
WEIGHTS = {"unet": "aa"}
BASE = digest(CONFIG, weights=WEIGHTS, code="cc")


def test_order_and_spelling_of_equal_values_do_not_matter():
    same = {"prompts": ("a photo of S*",), "sampler": {"steps": 25.0, "gamma": 0.6}}
    assert digest(same, weights=WEIGHTS, code="cc") == BASE


@pytest.mark.parametrize(
    ("config", "weights", "code"),
    [
        ({**CONFIG, "sampler": {"gamma": 0.5, "steps": 25}}, WEIGHTS, "cc"),
        ({**CONFIG, "more": None}, WEIGHTS, "cc"),
        (CONFIG, {"unet": "ab"}, "cc"),
        (CONFIG, {"vae": "aa"}, "cc"),
        (CONFIG, WEIGHTS, "cd"),
    ],
)
def test_each_ingredient_matters(config, weights, code):
    assert digest(config, weights=weights, code=code) != BASE


def test_code_digest_sees_content_names_and_parts(tmp_path):
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "a.py").write_text("x = 1\n")
    (tmp_path / "train.py").write_text("y = 1\n")
    (tmp_path / "notes.txt").write_text("not code")
    whole, part = code_digest(tmp_path), code_digest(tmp_path, ["models"])
    (tmp_path / "notes.txt").write_text("still not code")
    assert code_digest(tmp_path) == whole
    (tmp_path / "train.py").write_text("y = 2\n")
    assert code_digest(tmp_path) != whole
    assert code_digest(tmp_path, ["models"]) == part
    (tmp_path / "models" / "a.py").rename(tmp_path / "models" / "b.py")
    assert code_digest(tmp_path, ["models"]) != part
    assert code_digest(tmp_path, ["models"]) == code_digest(tmp_path, ["models/b.py"])


def test_code_digest_refuses_a_part_that_is_gone(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"sampling\.py"):
        code_digest(tmp_path, ["sampling.py"])


def test_file_digest_is_sha256_and_follows_the_file(tmp_path):
    path = tmp_path / "weights.bin"
    for content in (b"one", b"other"):
        path.write_bytes(content)
        assert file_digest(path) == hashlib.sha256(content).hexdigest()
