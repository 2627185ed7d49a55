"""Which device computes, decided once for a run: what there is, its precision, its memory. No function below asks."""

import gc
import os
import platform
import resource
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig

GIB = 2**30
# where Linux keeps the peak of a process, and where it is told to forget it
STATUS, REFERENCES = Path("/proc/self/status"), Path("/proc/self/clear_refs")
# settings of where and how networks compute, and of a study besides, who does
COMPUTE = ("device", "tf32", "compile", "offload")
STUDY = (*COMPUTE, "workers", "threads")
KINDS = "auto, cpu, cuda, cuda:N or mps"
# how allocators of the CPU and of Apple's GPUs say that there is no more, and CUDA's driver and libraries, which ask
# for memory of their own
EXHAUSTED = (
    "can't allocate memory",
    "MPS backend out of memory",
    "not enough memory",
    "CUDA error: out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
)


def begun(cfg: DictConfig) -> torch.device:
    """The device of a command, said; from here on TF32 is as the command says.

    ValueError for one that is not here, does not compute in the base's precision, or has no compiler.
    """
    device = device_of(cfg.device)
    if isinstance(cfg.get("base"), DictConfig):
        check_dtype(device, cfg.base.dtype)
    if cfg.get("compile"):
        check_compile(device)
    set_tf32(bool(cfg.tf32))
    print(f"device: {described(device)}", flush=True)
    return device


def handed_on(cfg: DictConfig, names: Sequence[str] = COMPUTE) -> list[str]:
    """Overrides by which a command that composes another one tells it where and how to compute."""
    return [f"{name}={cfg[name]}" for name in names if name in cfg]


def device_of(name: str) -> torch.device:
    """The device that "auto" (CUDA, else MPS, else the CPU), "cpu", "cuda", "cuda:N", "gpu" or "mps" means here.

    ValueError for one that is not here.
    """
    name = str(name)
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    kind, _, number = name.replace("gpu", "cuda").partition(":")
    if kind not in ("cpu", "cuda", "mps") or (number and not (kind == "cuda" and number.isdecimal())):
        raise ValueError(f"device ({name}) must be {KINDS}")
    if kind == "cuda":
        return torch.device("cuda", _cuda_index(name, number))
    if kind == "mps" and not torch.backends.mps.is_available():
        raise ValueError(f"device ({name}) is not here: PyTorch finds no GPU of Apple's; set device=auto or device=cpu")
    return torch.device(kind)


def _cuda_index(name: str, number: str) -> int:
    here = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if not here:
        raise ValueError(f"device ({name}) is not here: PyTorch finds no NVIDIA GPU; set device=auto or device=cpu")
    if number and int(number) >= here:
        raise ValueError(f"device ({name}) is not here: PyTorch finds {here} GPU(s), cuda:0 to cuda:{here - 1}")
    return int(number) if number else torch.cuda.current_device()


def check_dtype(device: torch.device, name: str, setting: str = "base.dtype", instead: str = "") -> None:
    """ValueError for a precision that the device does not compute in; a processor that emulates it is said, once.

    instead: what to set, "": another dtype.
    """
    lacks = (device.type == "mps" and name == "float64") or (
        device.type == "cuda"
        and name == "bfloat16"
        and not torch.cuda.is_bf16_supported(including_emulation=False)  # of the current device
    )
    if lacks:
        instead = instead or ("float32" if device.type == "mps" else "float16")
        raise ValueError(f"{setting} ({name}): {described(device)} does not compute in it; set {setting}={instead}")
    if device.type == "cpu" and name == "bfloat16" and emulates_bfloat16():
        _say_slow(setting, instead or "float32")


def emulates_bfloat16() -> bool:
    """Whether this processor is an x86 without AVX-512: there PyTorch has no fast path for bfloat16, and a convolution
    of a small U-Net took 50 times as long as in float32."""
    return platform.machine() in ("x86_64", "AMD64") and torch.backends.cpu.get_cpu_capability() in ("DEFAULT", "AVX2")


@cache
def _say_slow(setting: str, instead: str) -> None:
    print(
        f"{setting} (bfloat16): this processor emulates it, tens of times slower than float32; set {setting}={instead}",
        flush=True,
    )


def check_compile(device: torch.device) -> None:
    """ValueError where torch.compile finds no compiler: g++ or clang on the CPU, beside them Triton on a GPU."""
    compilers = [os.environ.get("CXX", "g++"), "clang++", "g++"]
    if not any(shutil.which(name) for name in compilers):
        raise ValueError(f"compile=true needs a C++ compiler, and none of {', '.join(compilers)} is here: leave it out")
    if device.type == "cuda" and find_spec("triton") is None:
        raise ValueError("compile=true needs Triton on a GPU, which is not installed: leave it out")


def set_tf32(allowed: bool) -> None:
    """Whether float32 may be rounded to TF32 (10 bits) inside matrix products and convolutions of NVIDIA GPUs."""
    torch.backends.cuda.matmul.allow_tf32 = allowed
    torch.backends.cudnn.allow_tf32 = allowed


def described(device: torch.device) -> str:
    """The device in words: cuda:0 (NVIDIA H100 80GB HBM3, 79 GiB, TF32 off)."""
    if device.type != "cuda":
        return str(device)
    about = torch.cuda.get_device_properties(device)
    tf32 = "on" if torch.backends.cuda.matmul.allow_tf32 else "off"
    return f"{device} ({about.name}, {about.total_memory / GIB:.0f} GiB, TF32 {tf32})"


def memory(device: torch.device) -> int:
    """Bytes that the device has, of which others may hold some."""
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).total_memory
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def forget_peak(device: torch.device) -> None:
    """From here on `peak_memory` counts anew, on a GPU and on Linux."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    elif REFERENCES.exists():
        REFERENCES.write_text("5")


def peak_memory(device: torch.device) -> int:
    """The most bytes that this process has held there, since `forget_peak` or ever."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    lines = STATUS.read_text().splitlines() if STATUS.exists() else []
    peaks = [int(line.split()[1]) for line in lines if line.startswith("VmHWM:")]
    return 1024 * (peaks[0] if peaks else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


def let_go(device: torch.device) -> None:
    """Hand freed memory of a GPU back, for whoever comes next; of compiled networks, too, which hold themselves."""
    if device.type == "cuda":
        gc.collect()
        torch.cuda.empty_cache()


def laid_out(net: Any, device: torch.device) -> Any:
    """A network, wherever it is, as it is to be on the device: on a GPU convolutions are faster with channels last."""
    return net.to(memory_format=torch.channels_last) if device.type == "cuda" else net


def moved(value: Any, device: torch.device, offload: bool = False) -> Any:
    """A tensor or network on the device: the one way by which what was built gets there.

    offload: parts of a base that are asked now and then stay on the CPU.
    """
    if isinstance(value, torch.Tensor):
        return value.to(device)
    laid_out(value, device).to(device)
    if offload and hasattr(value, "offload"):
        value.offload()
    return value


@contextmanager
def threads(number: int) -> Iterator[None]:
    """In this block so many threads of the CPU compute: how they share out a sum decides how it is rounded."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def memory_for(what: str, lower: str, device: torch.device) -> Iterator[None]:
    """Say in one sentence (ValueError) that memory ran out, while doing what, and which settings to lower."""
    try:
        yield
    except (torch.OutOfMemoryError, RuntimeError) as error:
        if not isinstance(error, torch.OutOfMemoryError) and not any(words in str(error) for words in EXHAUSTED):
            raise
        held = f"{peak_memory(device) / GIB:.1f} of {memory(device) / GIB:.1f} GiB"
        raise ValueError(f"{device} ran out of memory while {what}, with {held} held at the peak: {lower}") from error
