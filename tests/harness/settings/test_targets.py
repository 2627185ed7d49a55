"""Nothing that is typed or read can run code: what Hydra builds is checked as it stands after resolution."""

import os
import pickle
from pathlib import Path

import hydra
import pytest
from hydra import initialize_config_dir
from hydra.errors import HydraException

from src import ablate, train
from src.harness import build, compose
from src.harness.settings import targets

COPY = "{_target_: shutil.copyfile, src: here.txt, dst: ran.txt}"
LOAD = "{_target_: torch.load, f: x.pt, weights_only: false}"


class Pickled:
    """Leaves a file behind when it is unpickled."""

    def __reduce__(self):
        return os.system, ("touch ran.txt",)


@pytest.fixture
def tried(typed, tmp_path):
    """Run a command in a folder with a pickle and foreign configurations; it must refuse and run nothing of them."""
    (tmp_path / "here.txt").write_text("x")
    (tmp_path / "x.pt").write_bytes(pickle.dumps(Pickled()))
    for group, name, text in (
        ("world", "callbacks", f"hydra: {{callbacks: {{x: {COPY}}}}}"),
        ("world", "elsewhere", f"elsewhere: {{x: {COPY}}}\nhydra: {{callbacks: '${{elsewhere}}'}}"),
        (
            "world",
            "logging",
            "hydra: {job_logging: {root: {}, handlers: {x: {'()': os.system, command: touch ran.txt}}}}",
        ),
        ("learning", "built", f'optimizer: "${{oc.create:{LOAD}}}"'),
    ):
        (tmp_path / "conf" / group).mkdir(parents=True, exist_ok=True)
        head = (
            "# @package _global_\ndefaults: [tiny, _self_]\n" if group == "world" else "defaults: [pretrain, _self_]\n"
        )
        (tmp_path / "conf" / group / f"{name}.yaml").write_text(head + text)

    def run(command, *words):
        status, _, complaint = typed(command, *words)
        assert status == 1
        assert complaint.startswith("error: ") and "not allowed" in complaint, complaint
        assert not (tmp_path / "ran.txt").exists()
        return complaint

    return run


@pytest.mark.parametrize(
    "optimizer",
    [
        f"'${{oc.create:{LOAD}}}'",
        f"'${{oc.select:nowhere,{LOAD}}}'",
        f"""'${{oc.decode:"{LOAD}"}}'""",
        "'${oc.create:\"_target_: os.getcwd\"}'",
    ],
)
def test_an_optimizer_that_a_resolver_builds_is_refused(tried, optimizer):
    tried(train, "+experiment=tiny_pretrain", f"learning.optimizer={optimizer}")


@pytest.mark.parametrize(
    "target",
    [
        "torch.load",
        "'${data.train._target_}.__init__.__globals__'",
        "src.learning.checkpoints.AtomicCheckpoints.remove_checkpoint",
        "src.learning.stopping._requeue",
        "src.learning.stopping.subprocess.run",
    ],
)
def test_a_target_from_elsewhere_or_not_made_to_be_built_is_refused(tried, target):
    tried(train, "+experiment=tiny_pretrain", f"learning.optimizer._target_={target}")


def test_a_file_of_settings_that_builds_by_a_resolver_is_refused(tried, tmp_path):
    tried(train, "+experiment=tiny_pretrain", f"hydra.searchpath=[file://{tmp_path / 'conf'}]", "learning=built")


@pytest.mark.parametrize("many", [[], ["-m"]])
@pytest.mark.parametrize(
    "override",
    [
        f"+hydra.callbacks.x={COPY}",
        f"++hydra.callbacks={{x: {COPY}}}",
        "+hydra.callbacks.x=${world.oracle}",
        "+hydra.callbacks.x='${oc.create:\"_target_: os.getcwd\"}'",
        "hydra.launcher._target_=os.system",
        f"+hydra.launcher.x={COPY}",
        "hydra.sweeper._target_=os.system",
        "hydra/job_logging=default",
        "+hydra.job_logging.root={handlers: [x]}",
        "hydra/hydra_logging=default",
        "+hydra.job.env_set.LD_PRELOAD=x.so",
    ],
)
def test_hydra_builds_nothing_but_a_launcher(tried, many, override):
    assert "hydra" in tried(ablate, *many, "people=0", override) or "oc.create" in override


@pytest.mark.parametrize("world", ["callbacks", "elsewhere", "logging"])
@pytest.mark.parametrize("many", [False, True])
def test_a_foreign_file_that_reaches_into_hydra_is_refused(tried, tmp_path, world, many):
    place = f"hydra.searchpath=[file://{tmp_path / 'conf'}]"
    tried(ablate, *(["-m", place, f"world=tiny,{world}"] if many else [place, f"world={world}"]), "people=0")


@pytest.mark.parametrize("option", ["--experimental-rerun=x.pt", "--exp=x.pt"])
def test_a_pickled_configuration_is_refused(tried, option):
    tried(ablate, option)


@pytest.mark.parametrize("launcher", targets.LAUNCHERS)
def test_the_launchers_of_the_docs_are_allowed(launcher):
    with initialize_config_dir(str(compose.CONF), version_base="1.3"):
        cfg = hydra.compose("ablate", [f"hydra.launcher._target_={launcher}"], return_hydra_config=True)
        targets.check_hydra(cfg)
        with pytest.raises(HydraException, match="not allowed"):
            hydra.compose("ablate", [f"hydra.launcher._target_={launcher}s"], return_hydra_config=True)


def test_what_was_checked_is_what_is_built(tmp_path, monkeypatch):
    """A value that another part of the configuration brings in is checked where it is used."""
    monkeypatch.chdir(tmp_path)
    with initialize_config_dir(str(compose.CONF), version_base="1.3"):
        cfg = hydra.compose("ablate")
    cfg.world.notice = {"_target_": "os.mkdir", "path": "new"}
    cfg.sampler.generic = "${world.notice}"
    with pytest.raises(ValueError, match="mkdir"):
        build.build(cfg.sampler)
    assert not Path("new").exists()


@pytest.mark.parametrize("target", ["src.methods.nosuch.thing", "src.methods.profusion.nosuch", "src.data.photos.os.x"])
def test_a_target_that_is_not_there_is_named(typed, target):
    status, _, complaint = typed(ablate, f"sampler._target_={target}")
    assert status == 1
    assert complaint.startswith(f"error: sampler: _target_ '{target}' is not found"), complaint
