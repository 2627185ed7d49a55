"""What a command needs is asked of the method that it learns with, and said before anything is loaded."""

import re
from types import SimpleNamespace

import pytest
from hydra import compose, initialize_config_dir

from src import compare_methods
from src.harness.compose import CONF
from src.harness.device import device_of
from src.harness.preflight.needs import needs_of
from src.harness.preflight.people import demands, ready
from src.harness.preflight.training import check_training


def composed(name: str, *overrides: str):
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose(name, list(overrides))


def missing(cfg, command="ablate") -> dict[str, str]:
    return {need.what: need.remedy for need in needs_of(cfg, command) if need.remedy}


def test_the_folder_of_an_e4t_is_needed_by_who_learns_with_it():
    for command in ("ablate", "personalise"):
        lacks = missing(composed(command, "method=tiny_e4t", "method.e4t.folder=nowhere"), command)
        assert list(lacks) == ["method.e4t.folder"]
        assert "`python -m src.train +experiment=tiny_e4t`" in lacks["method.e4t.folder"]
    training = composed("train", "+experiment=tiny_e4t", "method.e4t.folder=nowhere")
    assert "method.e4t.folder" not in missing(training, "train")  # which is where it is to come from


def test_a_promptnet_is_needed_where_the_method_reads_one():
    absent = ["world=sd2", "base=sd2_random", "world.promptnet=nowhere"]
    assert "world.promptnet=FOLDER" in missing(composed("ablate", *absent))["method.promptnet.folder"]
    for other in ("promptnet=sd2_from_unet", "method=prompt_only"):
        assert "method.promptnet.folder" not in missing(composed("ablate", *absent, other))


@pytest.mark.parametrize("given", ["dreambooth method.lora", "textual_inversion method.embedding"])
def test_whoever_was_learned_elsewhere_is_needed(given):
    method, setting = given.split()
    assert list(missing(composed("ablate", f"method={method}", f"{setting}=nowhere"))) == [setting]
    assert not missing(composed("ablate", f"method={method}"))


def gib(needs, what: str, name: str) -> float:
    """The first number of the line of a side."""
    found = [n for n in needs if n.what == f"{what} for {name}" or (n.what == what and f"for {name};" in n.detail)]
    return float(re.search(r"([\d.]+) GiB", found[0].detail)[1])


def test_memory_and_disk_are_those_of_the_method():
    """At Stable Diffusion 2's size in bfloat16: 866 million weights of its U-Net, 18 bytes each to train."""
    methods = ["prompt_only", "textual_inversion", "dreambooth", "dreambooth method.rank=16", "e4t"]
    common = ["world=sd2", "base=sd2_random", "people=2"]
    sides = [(name, composed("ablate", *common, *f"method={name}".split())) for name in methods]
    needs = demands(sides, device_of("cpu"))
    disk = {name: gib(needs, "disk", name) for name in methods}
    assert disk["prompt_only"] == disk["textual_inversion"] == 0
    assert disk["dreambooth"] == pytest.approx(2 * 866e6 * 2 / 2**30, rel=0.02)
    assert disk["dreambooth method.rank=16"] < 0.1
    assert 0.1 < disk["e4t"] < 0.5
    memory = {name: gib(needs, "memory", name) for name in methods}
    assert memory["dreambooth"] > memory["prompt_only"] + 866e6 * 16 / 2**30
    assert memory["e4t"] > memory["prompt_only"]


def test_the_training_of_an_e4t_is_sized_by_its_own_network(capsys):
    sizes = {}
    for experiment in ("ffhq_e4t", "ffhq_pretrain"):
        with pytest.raises(FileNotFoundError, match="FFHQ"):
            check_training(composed("train", f"+experiment={experiment}", "base=sd2_random", "trainer.keep=1"))
        sizes[experiment] = float(re.search(r"disk +([\d.]+) GiB", capsys.readouterr().out)[1])
    assert sizes["ffhq_pretrain"] > 5
    assert sizes["ffhq_e4t"] == pytest.approx(2 * 30e6 * 16 / 2**30, rel=0.3)


@pytest.mark.weights
def test_a_comparison_of_methods_asks_for_the_memory_of_each(typed, tmp_path):
    status, printed, complaint = typed(compare_methods, "preflight_only=true")
    assert status == 0, complaint
    for method in ("prompt_only", "textual_inversion", "dreambooth", "profusion"):
        assert len(re.findall(rf"^found +memory for {method} ", printed, re.MULTILINE)) >= 1
    assert not (tmp_path / "runs").exists()
    status, _, complaint = typed(compare_methods, "methods.dreambooth=['method=tiny_e4t','method.e4t.folder=nowhere']")
    assert status == 1 and "method.e4t.folder (nowhere): train one with" in complaint


def test_more_people_than_there_are_is_said_before_the_disk_that_they_would_take(monkeypatch):
    full = SimpleNamespace(total=2**30, used=2**30, free=0)
    monkeypatch.setattr("shutil.disk_usage", lambda _: full)
    with pytest.raises(ValueError, match=r"people \(501\) must be a whole number from 1 to 500"):
        ready(composed("ablate", "people=501"), "ablate")
    with pytest.raises(FileNotFoundError, match=r"disk .* for 500 learned people; 0\.0 free"):
        ready(composed("ablate", "people=500"), "ablate")
