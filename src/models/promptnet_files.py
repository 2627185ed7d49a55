"""A PromptNet on disk, in the authors' released format and in ours: read with nothing run, and checked by name."""

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from src.files.whole import read_object

CONFIG = "config.json"
WEIGHTS = "diffusion_pytorch_model.safetensors"
OLD_WEIGHTS = "diffusion_pytorch_model.bin"
# what config.json must say, beside what a U-Net's may leave out
NEEDED = (
    "block_out_channels",
    "cross_attention_dim",
    "down_block_types",
    "prompt_channel",
    "region_kernel_size",
    "region_proj_channel",
    "sample_size",
)
NAMED = 5  # tensors that a message names


def read_folder(folder: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """config.json, and the tensors of the safetensors file or else of the pickle, which may hold nothing but tensors.

    Raises FileNotFoundError or ValueError for a file that is missing, damaged or foreign.
    """
    weights = next((folder / name for name in (WEIGHTS, OLD_WEIGHTS) if (folder / name).is_file()), None)
    if weights is None or not (folder / CONFIG).is_file():
        raise FileNotFoundError(
            f"no PromptNet at {folder}: it must be a folder with {CONFIG} and {WEIGHTS}, or the authors' {OLD_WEIGHTS}"
        )
    try:
        config = read_object(folder / CONFIG, "restore it")
        pickled = weights.suffix == ".bin"
        state = torch.load(weights, map_location="cpu", weights_only=True) if pickled else load_file(weights)
    except (ValueError, SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError) as error:
        first = str(error).strip().split(". ")[0]
        raise ValueError(f"the PromptNet at {folder} is damaged; fetch or build it again ({first})") from error
    _check_plain(config, state, folder)
    return config, state


def _check_plain(config: Mapping[str, Any], state: Any, folder: Path) -> None:
    """ValueError unless the configuration is one of a PromptNet's and the weights are named tensors."""
    if not isinstance(state, dict):
        raise ValueError(f"{folder} does not hold a PromptNet: named settings and named tensors are expected")
    absent = [name for name in NEEDED if name not in config]
    if absent:
        raise ValueError(f"{folder} does not hold a PromptNet: its {CONFIG} lacks {', '.join(absent)}")
    foreign = [name for name, value in state.items() if not isinstance(value, Tensor)]
    if foreign:
        raise ValueError(f"{folder} does not hold a PromptNet: {foreign[0]} of its weights is no tensor")


def check_fit(
    expected: Mapping[str, tuple[int, ...]],
    weights: Mapping[str, Tensor],
    folder: str | Path,
    what: str = "PromptNet",
) -> None:
    """ValueError that names what of the tensors is unexpected, absent, or of another shape."""
    shapes = {name: tuple(tensor.shape) for name, tensor in weights.items()}
    wrong = {
        "unexpected": sorted(shapes.keys() - expected.keys()),
        "absent": sorted(expected.keys() - shapes.keys()),
        "of another shape": sorted(n for n in expected.keys() & shapes.keys() if expected[n] != shapes[n]),
    }
    faults = [
        f"{len(names)} {how} ({', '.join(names[:NAMED])}{', ...' if len(names) > NAMED else ''})"
        for how, names in wrong.items()
        if names
    ]
    if faults:
        raise ValueError(
            f"{folder} does not hold this {what}: of its tensors, {'; '.join(faults)}; fetch {CONFIG} and the weights "
            "of one release together"
        )
