"""A digest changes with each of its ingredients and with nothing else."""

import hashlib

import pytest

from src.runs.digests import code_digest, digest, file_digest, meaning

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


CODE = '''"""What it is."""

import math
from src.models.base import encode as seen  # from there


def area(r: float) -> float:
    """Of a circle."""
    return math.pi * r**2 * seen(r)
'''
SAME = '''"""Other words."""
from src.elsewhere import encode as seen
import math

# a remark
def area(
    r: float,
) -> float:
    return math.pi * r ** 2 * seen(r)
'''


def test_comments_docstrings_layout_and_where_imports_come_from_mean_nothing():
    assert meaning(CODE) == meaning(SAME)


@pytest.mark.parametrize(
    ("before", "after"),
    [("r**2", "r**3"), ("math.pi", "math.e"), ("import math", "import cmath as math"), ("encode as", "decode as")],
)
def test_what_is_computed_means_something(before, after):
    assert meaning(CODE.replace(before, after)) != meaning(CODE)


def test_a_docstring_alone_and_an_import_alone_leave_a_body_that_compiles():
    for body in ('"""Nothing."""', "import os", "from src.models import base"):
        compile(meaning(f"def f():\n    {body}\n\nif f():\n    {body}\n"), "f.py", "exec")


def test_code_digest_sees_content_and_parts_but_no_places(tmp_path):
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "a.py").write_text(CODE)
    (tmp_path / "train.py").write_text("y = 1\n")
    (tmp_path / "notes.txt").write_text("not code")
    whole, part = code_digest(tmp_path, ["."]), code_digest(tmp_path, ["models"])
    (tmp_path / "notes.txt").write_text("still not code")
    (tmp_path / "models" / "a.py").write_text(SAME)
    assert code_digest(tmp_path, ["."]) == whole
    (tmp_path / "train.py").write_text("y = 2\n")
    assert code_digest(tmp_path, ["."]) != whole
    (tmp_path / "models" / "a.py").rename(tmp_path / "b.py")
    assert code_digest(tmp_path, ["b.py"]) == part
    (tmp_path / "b.py").write_text(SAME.replace("r ** 2", "r ** 3"))
    assert code_digest(tmp_path, ["b.py"]) != part


def test_where_a_target_of_ours_stands_decides_nothing():
    keys = {
        digest({"net": {"_target_": f"src.{place}.PromptNet"}}, weights={}, code="")
        for place in ("models.promptnet", "nets.encoder")
    }
    assert len(keys) == 1
    assert digest({"_target_": "torch.optim.AdamW"}, weights={}, code="") != digest(
        {"_target_": "other.AdamW"}, weights={}, code=""
    )


def test_code_digest_refuses_a_part_that_is_gone(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"sampling\.py"):
        code_digest(tmp_path, ["sampling.py"])


def test_file_digest_is_sha256_and_follows_the_file(tmp_path):
    path = tmp_path / "weights.bin"
    for content in (b"one", b"other"):
        path.write_bytes(content)
        assert file_digest(path) == hashlib.sha256(content).hexdigest()
