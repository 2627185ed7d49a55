"""What decides a result is listed: no module that a result is computed with is missing, and none is gone."""

import pytest
from hydra import compose, initialize_config_dir

from src.harness import deciding
from src.harness.build import plain
from src.harness.compose import CONF, PACKAGE
from src.learning.class_images import CODE

TRAINING = ("learning.pretrain", "learning.trainer", "data.datamodule", "models.promptnet", "tiny_world.photos")
KINDS = {
    "TRAINING": TRAINING,
    "PERSON": ("data.augment", "data.masks", "models.inpainter", "tiny_world.photos"),
    "IMAGE": ("data.augment", "models.base", "tiny_world.photos"),
    "SCORE": ("metrics.evaluation",),
}
BROUGHT_ALONG = {"models.promptnet", "models.promptnet_files", "data.photo_index"}  # by methods and data that need them
NO_CODE = ("INDIFFERENT", "PACKAGE", "SHARED_OUT")
METHODS = sorted(path.stem for path in (CONF / "method").glob("*.yaml"))


def closure(modules: tuple[str, ...]) -> set[str]:
    """They and all that they import, as code enters a digest."""
    return named(deciding.code_files([{"_target_": f"src.{module}"} for module in modules]))


def named(files) -> set[str]:
    return {file.relative_to(PACKAGE).with_suffix("").as_posix().replace("/", ".") for file in files}


def listed(kind: str) -> set[str]:
    files = [PACKAGE / part for part in getattr(deciding, kind)]
    return named(path for file in files for path in ([file] if file.is_file() else file.rglob("*.py")))


def method_code(name: str) -> set[str]:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return named(deciding.code_files(plain(compose("ablate", [f"method={name}"]).method)))


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_all_that_a_result_is_computed_with_is_listed(kind):
    assert closure(KINDS[kind]) - (BROUGHT_ALONG if kind in ("PERSON", "IMAGE") else set()) <= listed(kind)


def test_drawing_is_listed_but_for_what_a_method_brings_along():
    names = [name for part in deciding.DRAWING for name in deciding.imported(PACKAGE / part) if name.startswith("src.")]
    assert closure(tuple(name.removeprefix("src.") for name in names)) - BROUGHT_ALONG <= listed("IMAGE")


@pytest.mark.parametrize("name", METHODS)
def test_the_code_of_a_method_is_its_own(name):
    own = {module for module in method_code(name) if module.startswith("methods.")} - {"methods.method"}
    assert own == {f"methods.{name.removeprefix('tiny_')}"}


def test_what_is_drawn_to_be_learned_from_is_drawn_by_code_that_counts():
    assert "sampling" in method_code("dreambooth")
    for name in ("profusion", "textual_inversion"):
        assert "sampling" not in method_code(name)
    known = {part.removesuffix(".py").replace("/", ".") for part in CODE}
    files = {"models.folders", "models.digest", "learning.person_file"}  # how they are kept, and known again
    assert closure(("learning.class_images",)) - BROUGHT_ALONG - files == known


def test_the_code_of_a_method_holds_what_its_settings_build_and_its_module_imports():
    known = method_code("profusion")
    assert {"learning.finetune", "learning.tuned", "learning.pretrain", "models.promptnet"} <= known
    assert not {module for module in method_code("prompt_only") if module.startswith("learning.")}


@pytest.mark.parametrize("kind", [name for name in dir(deciding) if name.isupper() and name not in NO_CODE])
def test_every_list_names_files_that_are_here(kind):
    assert len(deciding.code_of(getattr(deciding, kind))) == 64
