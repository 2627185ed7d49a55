"""Imports go strictly down, and every outside library has one owner: read from the source, not from memory."""

import ast
from pathlib import Path

import pytest

SRC = Path(__file__).parents[1] / "src"
# the rooms below which nothing is ours, then each layer with what it may import besides; commands may import everything
LOWEST = {"files", "diffusion", "sampling"}
BELOW: dict[str, set[str]] = {
    "files": {"files"},
    "diffusion": set(),
    "sampling": {"diffusion"},
    **{room: {*LOWEST, room} for room in ("models", "data", "metrics", "statistics")},
    "runs": {*LOWEST, "statistics", "runs"},
    "learning": {*LOWEST, "models", "data", "learning"},
}
MIDDLE = {*LOWEST, "models", "data", "metrics", "statistics", "runs", "learning"}
BELOW |= {room: {*MIDDLE, room} for room in ("methods", "reports", "human", "tiny_world")}
BELOW["harness"] = {*MIDDLE, "methods", "reports", "human", "tiny_world", "harness"}
BELOW["benchmarks"] = {*BELOW["harness"], "benchmarks"}
OWNERS = {
    "diffusers": ("models/", "tiny_world/"),
    "transformers": ("models/", "tiny_world/"),
    "peft": ("models/lora.py",),
    "open_clip": ("metrics/text_similarity.py", "tiny_world/judges/text.py"),
    "timm": ("metrics/image_similarity.py",),
    "torchmetrics": ("metrics/distances.py", "tiny_world/gates/"),
    "insightface": ("metrics/identity.py", "data/masks.py"),
    "dlib": ("metrics/dlib_identity.py",),
    "deepface": ("metrics/deepface_identity.py",),
    "onnxruntime": ("metrics/identity.py",),
    "matplotlib": ("reports/figures.py",),
    "wandb": ("runs/mirror.py",),
    "wandb_workspaces": ("reports/dashboards.py",),
    "choix": ("human/preferences.py",),
    "krippendorff": ("human/preferences.py",),
    "jinja2": ("files/html.py",),
    "hydra": ("harness/",),
    "litdata": ("data/shards.py",),
    "omegaconf": ("harness/", "benchmarks/", *(f"{p.stem}.py" for p in SRC.glob("*.py"))),
    "pytorch_lightning": ("learning/", "data/datamodule.py"),
}
FILES = sorted(SRC.rglob("*.py"))
COMMANDS = {path.stem for path in SRC.glob("*.py")} - {*LOWEST, "__init__"}


def imported(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(SRC)))
def test_imports_go_down(path):
    layer = path.relative_to(SRC).parts[0].removesuffix(".py")
    ours = {name.split(".")[1] for name in imported(path) if name.startswith("src.")}
    if layer in BELOW:
        assert ours <= BELOW[layer], f"{path.name} reaches up or sideways: {ours - BELOW[layer]}"
    else:
        assert path.parent == SRC, f"{path} belongs to no layer"
        assert not ours & COMMANDS, f"{path.name} imports a command: {ours & COMMANDS}; what they share lies in harness"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(SRC)))
def test_every_library_has_its_owner(path):
    place = path.relative_to(SRC).as_posix()
    for name in {full.split(".")[0] for full in imported(path)} & set(OWNERS):
        assert place.startswith(OWNERS[name]), f"{place} imports {name}, which belongs to {', '.join(OWNERS[name])}"


def defined(path: Path) -> set[str]:
    """The names that a module defines: functions, classes, variables, and itself."""
    nodes = list(ast.walk(ast.parse(path.read_text())))
    variables = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    return variables | {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.ClassDef)}


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(SRC)))
def test_every_name_has_one_door(path):
    """What is imported from a module is defined there, not handed on."""
    for full in (name for name in imported(path) if name.startswith("src.")):
        module, name = full.rsplit(".", 1)
        file = SRC.parent / f"{module.replace('.', '/')}.py"
        assert not file.is_file() or name in defined(file), f"{path.name}: {module} does not define {name}"


def test_the_samplers_import_torch_alone():
    for name in ("diffusion.py", "sampling.py"):
        outside = {full.split(".")[0] for full in imported(SRC / name)} - {"src"}
        assert outside <= {"torch", "collections", "dataclasses", "itertools", "typing", "math"}


def calls(path: Path) -> list[tuple[str, ast.Call]]:
    """Every call with what is called, as it is written."""
    return [(ast.unparse(n.func), n) for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Call)]


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(SRC)))
def test_nothing_that_is_read_can_run_code(path):
    """Pickles come through torch.load(weights_only=True) alone, and one place instantiates configurations."""
    for name, call in calls(path):
        options = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
        if name in ("torch.load", "trainer.fit"):
            assert options.get("weights_only") == "True" or ("ckpt_path" not in options and name == "trainer.fit"), name
        if name.endswith("from_pretrained") and options:
            assert "trust_remote_code" not in options
        assert name not in ("pickle.load", "pickle.loads", "yaml.load", "eval", "exec", "joblib.load"), name
        assert "allow_pickle" not in options
        assert name.split(".")[-1] != "instantiate" or path.name == "build.py"


def functions(path: Path) -> list[ast.FunctionDef]:
    return [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)]


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(SRC)))
def test_files_and_functions_have_sizes_to_feel_at_home_in(path):
    lines, mathematics = len(path.read_text().splitlines()), path.stem in LOWEST
    assert lines <= (100 if path.parent == SRC and not mathematics else 250), f"{path.name} has {lines} lines"
    for node in functions(path):
        parameters = {each.arg for each in [*node.args.args, *node.args.kwonlyargs]} - {"self", "cls"}
        length = (node.end_lineno or 0) - node.lineno + 1
        assert length <= 50, f"{path.name}: {node.name} has {length} lines"
        assert len(parameters) <= 10, f"{path.name}: {node.name} takes {len(parameters)} parameters"


@pytest.mark.parametrize("folder", sorted({path.parent for path in FILES} - {SRC}), ids=lambda p: p.name)
def test_no_room_is_crowded(folder):
    assert len([path for path in folder.glob("*.py") if path.stem != "__init__"]) <= 15
