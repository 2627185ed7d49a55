"""A training is known by what it computes: one that was begun before code was moved or explained anew goes on."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import hydra
import pytest

from src.harness import deciding, pretraining
from src.harness.compose import CONF, PACKAGE

LISTED = deciding.TRAINING
# one that configurations name, and one that the others of the list import, too
MOVES = {"data/shards.py": "store/packed.py", "data/photos.py": "store/loose.py"}


@pytest.fixture
def tree(tmp_path):
    """A copy of code and configurations."""
    shutil.copytree(PACKAGE, tmp_path / "src", ignore=shutil.ignore_patterns("weights", "examples", "__pycache__"))
    shutil.copytree(CONF, tmp_path / "conf")
    return tmp_path


def dotted(path: str) -> str:
    return f"src.{path.removesuffix('.py').replace('/', '.')}"


def move(tree: Path) -> None:
    """Modules to their new places, and whatever speaks of them."""
    (tree / "src" / "store").mkdir()
    for old, new in MOVES.items():
        (tree / "src" / old).rename(tree / "src" / new)
        for path in (*tree.rglob("*.py"), *tree.rglob("*.yaml")):
            path.write_text(path.read_text().replace(dotted(old), dotted(new)))


def key_in(tree: Path, listed: Sequence[str], monkeypatch) -> str:
    """The key of a training on shards with this code and these configurations."""
    monkeypatch.setattr(deciding, "PACKAGE", tree / "src")
    monkeypatch.setattr(pretraining, "TRAINING", listed)
    with hydra.initialize_config_dir(str(tree / "conf"), version_base="1.3"):
        return pretraining.key_of(hydra.compose("train", ["data=shards", "world.weights=null"]))


def change(path: Path, before: str, after: str) -> None:
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after, 1))


def test_a_training_begun_before_a_pure_move_goes_on_after_it(tree, monkeypatch):
    key = key_in(tree, LISTED, monkeypatch)
    move(tree)
    listed = [MOVES.get(part, part) for part in LISTED]
    assert "src.store.packed" in (tree / "conf" / "data" / "shards.yaml").read_text()
    assert key_in(tree, listed, monkeypatch) == key
    module = tree / "src" / "store" / "packed.py"
    change(module, '"""', '"""In other words: ')
    change(module, "\n\n\n", "\n\n\n# a remark\n\n\n")
    assert key_in(tree, listed, monkeypatch) == key
    change(module, "AT_ONCE = 64", "AT_ONCE = 65")
    assert key_in(tree, listed, monkeypatch) != key
