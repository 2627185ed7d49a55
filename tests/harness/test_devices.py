"""Where networks run: resolved in one place, said once, no part of what decides a result."""

import json

import pytest
import torch

from src import ablate, evaluate, personalise, train
from src.harness import deciding
from src.harness import device as devices
from src.runs.digests import digest
from src.runs.store import read_jsonl

HERE = torch.cuda.device_count() if torch.cuda.is_available() else 0


def test_auto_is_the_best_that_is_here():
    kind = "cuda" if HERE else "mps" if torch.backends.mps.is_available() else "cpu"
    assert devices.device_of("auto").type == kind
    assert devices.device_of("cpu") == torch.device("cpu")


@pytest.mark.parametrize("name", ["tpu", "cpu:1", "cuda:first", "meta", ""])
def test_what_is_no_device_is_refused(name):
    with pytest.raises(ValueError, match="must be auto, cpu, cuda"):
        devices.device_of(name)


def test_a_gpu_that_is_not_here_is_named():
    with pytest.raises(ValueError, match=f"device \\(cuda:{HERE + 1}\\) is not here"):
        devices.device_of(f"cuda:{HERE + 1}")
    if not torch.backends.mps.is_available():
        with pytest.raises(ValueError, match=r"device \(mps\) is not here"):
            devices.device_of("mps")


@pytest.mark.skipif(HERE > 0, reason="there is a GPU")
@pytest.mark.parametrize("command", [ablate, personalise, evaluate, train])
def test_a_command_ends_in_one_sentence_without_the_gpu_that_was_asked_for(typed, tmp_path, command):
    status, _, complaint = typed(command, "device=cuda")
    assert status == 1
    assert complaint == ("error: device (cuda) is not here: PyTorch finds no NVIDIA GPU; set device=auto or device=cpu")
    assert not (tmp_path / "runs").exists()


def test_a_precision_that_the_device_lacks_is_refused():
    with pytest.raises(ValueError, match=r"base\.dtype \(float64\): mps does not compute in it"):
        devices.check_dtype(torch.device("mps"), "float64")
    with pytest.raises(ValueError, match=r"trainer\.precision \(float64\): .*; set trainer\.precision=32-true"):
        devices.check_dtype(torch.device("mps"), "float64", "trainer.precision", instead="32-true")
    devices.check_dtype(torch.device("cpu"), "bfloat16")


@pytest.mark.parametrize(("capability", "said"), [("AVX2", 1), ("AVX512", 0)])
def test_a_processor_that_emulates_bfloat16_is_said_once(monkeypatch, capsys, capability, said):
    monkeypatch.setattr(devices.platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    devices._say_slow.cache_clear()
    for name in ("bfloat16", "bfloat16", "float32"):
        devices.check_dtype(torch.device("cpu"), name, "trainer.precision", instead="32-true")
    assert capsys.readouterr().out.count("set trainer.precision=32-true") == said


def test_the_precision_that_images_are_drawn_in_is_checked_before_anything_is_loaded(typed, monkeypatch):
    monkeypatch.setattr(devices, "emulates_bfloat16", lambda: True)
    devices._say_slow.cache_clear()
    status, out, complaint = typed(ablate, "people=400000", "sampler.shortcuts.precision=bfloat16")
    assert status == 1 and "people" in complaint
    assert "set sampler.shortcuts.precision=null" in out


def test_what_is_to_compute_on_a_gpu_is_laid_out_for_it_before_it_is_there():
    net = torch.nn.Conv2d(4, 4, 3)
    for kind, expected in (("cpu", False), ("cuda", True)):
        weight = devices.laid_out(net, torch.device(kind)).weight
        assert weight.device.type == "cpu"
        assert weight.is_contiguous(memory_format=torch.channels_last) is expected


def test_a_missing_compiler_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("CXX", "some-compiler")
    with pytest.raises(ValueError, match=r"compile=true needs a C\+\+ compiler, and none of some-compiler"):
        devices.check_compile(torch.device("cpu"))


def test_running_out_of_memory_is_told_in_one_sentence():
    cpu = torch.device("cpu")
    with (
        pytest.raises(ValueError, match=r"cpu ran out of memory while learning ada, with .* GiB held .*: lower it"),
        devices.memory_for("learning ada", "lower it", cpu),
    ):
        torch.empty(2**60, dtype=torch.uint8)
    with pytest.raises(ValueError, match="ran out of memory"), devices.memory_for("x", "y", cpu):
        raise torch.OutOfMemoryError("CUDA out of memory")
    for said in ("CUDA error: out of memory", "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate`"):
        with pytest.raises(ValueError, match="ran out of memory"), devices.memory_for("x", "y", cpu):
            raise RuntimeError(said)
    with pytest.raises(RuntimeError, match="something else"), devices.memory_for("x", "y", cpu):
        raise RuntimeError("something else")


def test_what_decides_no_result_is_not_digested():
    settings = {"device": "cpu", "tf32": False, "sampler": {"batch": 4, "steps": 3}, "method": {"finetune": None}}
    other = {**settings, "device": "cuda:1", "runs": "elsewhere", "sampler": {"batch": None, "steps": 3}}
    one, two = (digest(deciding.deciding(each), weights={}, code="") for each in (settings, other))
    assert one == two
    exact = digest(deciding.deciding({**settings, "tf32": True}), weights={}, code="")
    assert exact != one
    kept = {"finetune": {"batch": 4}}
    assert deciding.deciding(kept) == kept  # how many photos a step learns from decides what is learned


@pytest.mark.weights
def test_a_run_says_where_it_was_made_and_is_found_again_from_elsewhere(typed, tmp_path):
    small = ["people=1", "prompts=1", "seeds=1", "sampler.steps=1", "method.finetune=null", "logger=disabled"]
    status, printed, complaint = typed(ablate, "ablation=no_fusion", "device=cpu", *small)
    assert status == 0, complaint
    assert printed.count("device: cpu") == 1
    runs = tmp_path / "runs"
    sittings = [read_jsonl(path) for path in runs.rglob("sittings.jsonl")]
    assert len(sittings) > 2
    assert {sitting["device"] for (sitting,) in sittings} == {"cpu"}
    assert all("device" not in json.loads(path.read_text()) for path in (runs / "full").glob("*/config.json"))
    typed(ablate, "ablation=no_fusion", "device=auto", "tf32=false", *small)
    assert len(list((runs / "full").iterdir())) == 1
