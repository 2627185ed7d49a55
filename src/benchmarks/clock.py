"""Time and arithmetic of a device: seconds of what was queued on it, its peak memory, its share of the possible."""

import gc
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

GIB = 2**30
# dense bfloat16 FLOP/s without sparsity, as NVIDIA's data sheets say; the first whose words the card's name has counts
PEAKS = {
    "B200": 2250e12,
    "GH200": 989.4e12,
    "H200": 989.4e12,
    "H100 PCIe": 756e12,
    "H100 NVL": 835e12,
    "H100": 989.4e12,
    "A100": 312e12,
    "L40S": 362e12,
    "L4": 121e12,
    "A10": 125e12,
}


class TimeIsUp(BaseException):
    """What was running has used up its seconds. No Exception: nothing between may take it for a failure of its own."""


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """Raise TimeIsUp in the main thread if the block takes longer."""

    def stop(number: int, frame: Any) -> None:
        raise TimeIsUp(f"stopped after {seconds:.0f} s")

    if seconds <= 0:
        raise TimeIsUp("no time was left for it")
    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def waited(device: torch.device) -> float:
    """The time at which all that was queued on the device is done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def seconds_of(act: Callable[[], Any], device: torch.device, repeats: int = 1) -> float:
    """Mean seconds of one of `repeats` calls, queued one after the other."""
    start = waited(device)
    for _ in range(repeats):
        act()
    return (waited(device) - start) / repeats


def cleared(device: torch.device) -> None:
    """Let go of what nothing holds any more, and forget the peak so far."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)


def peak_gib(device: torch.device) -> float | None:
    """GiB held at most since `cleared`; None where the device does not count."""
    return torch.cuda.max_memory_allocated(device) / GIB if device.type == "cuda" else None


def flops_of(act: Callable[[], Any]) -> int:
    """Floating-point operations of the matrix products and convolutions, a multiplication and an addition as two."""
    with FlopCounterMode(display=False) as counter:
        act()
    return int(counter.get_total_flops())


def peak_flops(card: str) -> float | None:
    """Dense bfloat16 FLOP/s that a card ("NVIDIA A100-SXM4-80GB") can do at most; None for one that is not listed."""
    words = set(card.replace("-", " ").split())
    return next((peak for name, peak in PEAKS.items() if words.issuperset(name.split())), None)
