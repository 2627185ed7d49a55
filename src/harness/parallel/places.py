"""How many workers a study has, and where each of them computes."""

from typing import Any

import torch
from omegaconf import DictConfig

from src.harness.device import GIB, device_of, memory

PROCESS = GIB  # of the CPU's memory: what a process with its libraries holds beside its networks


def places_of(cfg: DictConfig, each: int = 0) -> list[str]:
    """The device of every worker, by its name; of a command without workers: its own.

    each: bytes that a worker holds at its peak, 0 if nobody knows; `workers=auto` stays below what there is.
    ValueError for more workers than people.
    """
    device, people = device_of(cfg.device), cfg.get("people")
    if "workers" not in cfg or not isinstance(people, int):
        return [str(device)]
    here = [str(device)]
    if device.type == "cuda" and ":" not in str(cfg.device):  # no GPU is named: all of them
        here = [f"cuda:{number}" for number in range(torch.cuda.device_count())]
    wanted: Any = cfg.workers
    if wanted == "auto":
        wanted = max(1, min(people, _room(device, int(cfg.threads), each) if device.type == "cpu" else len(here)))
    if wanted > max(people, 1):
        raise ValueError(
            f"workers ({wanted}) must be auto, or a number up to that of people ({people}): one worker has all of "
            "a person's images"
        )
    return [str(device)] if wanted == 1 else [here[number % len(here)] for number in range(wanted)]


def _room(device: torch.device, threads: int, each: int) -> int:
    """As many workers as PyTorch has threads here, unless they, and the command itself, need more memory than there is;
    OMP_NUM_THREADS and whoever binds a process to cores have their say in the first."""
    return min(torch.get_num_threads() // threads, memory(device) // (each + PROCESS) - 1)


def sharing(places: list[str]) -> int:
    """The most workers that one device has."""
    return max(places.count(place) for place in places)
