"""A command in a process that dies of the first socket to the network, in Python, in a library or in a helper."""

import ctypes
import os
import platform
import runpy
import struct
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOCKET = {"x86_64": 41, "aarch64": 198}  # the number of the system call
KILL, ALLOW = 0x80000000, 0x7FFF0000
AF_INET, AF_INET6, SOCK_DGRAM = 2, 10, 2


def forbid_network() -> None:
    """From now on a socket of the internet's kills its process with SIGSYS, here and in children.

    One kind is left out: a stream of AF_INET6, of which urllib3 tries at its import whether there is such a thing.
    Whoever wants to reach a host has to look it up first.
    """
    load, equal, both, end = 0x20, 0x15, 0x54, 0x06
    program = [
        (load, 0, 0, 0),  # the system call
        (equal, 0, 7, SOCKET[platform.machine()]),
        (load, 0, 0, 16),  # the family
        (equal, 4, 0, AF_INET),
        (equal, 0, 4, AF_INET6),
        (load, 0, 0, 24),  # the kind
        (both, 0, 0, 0xF),
        (equal, 0, 1, SOCK_DGRAM),
        (end, 0, 0, KILL),
        (end, 0, 0, ALLOW),
    ]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in program))
    filter_ = struct.pack("HxxxxxxP", len(program), ctypes.addressof(code))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(38, 1, 0, 0, 0) or libc.prctl(22, 2, filter_, 0, 0):  # no new privileges; seccomp with this filter
        raise OSError(ctypes.get_errno(), "this system forbids nothing")


def go(home: Path, module: str, *words: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run `python -m module words` without a network; nothing of W&B or of caches is set, and `home` is its home."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("WANDB", "ORT_", "HF_"))}
    clean |= {"HOME": str(home), "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, __file__, module, *map(str, words)]
    return subprocess.run(command, cwd=cwd, env=clean, capture_output=True, text=True, check=False, timeout=900)


if __name__ == "__main__":
    forbid_network()
    sys.argv = sys.argv[1:]
    sys.path[0] = str(Path.cwd())
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
