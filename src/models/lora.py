"""LoRA of a U-Net: new, beside its weights, and as diffusers' files hold it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from diffusers import UNet2DConditionModel
from peft import LoraConfig, get_peft_model_state_dict
from torch import Tensor, nn

from src.models.folders import read_tensors

NAME, PREFIX = "person", "unet"
TARGETS = ["to_q", "to_k", "to_v", "to_out.0"]  # as in diffusers' example
ABOUT = "lora_adapter_metadata"  # where a file of diffusers says its ranks and alphas
ENDS = {".lora_A.weight": "down", ".lora.down.weight": "down", ".lora_B.weight": "up", ".lora.up.weight": "up"}


def new_lora(unet: UNet2DConditionModel, rank: int, seed: int) -> list[nn.Parameter]:
    """Put a float32 LoRA beside the attention projections of a frozen U-Net; its factors, which take gradients.

    One factor is drawn with `seed`, the other is 0: it changes nothing yet.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        config = LoraConfig(r=rank, lora_alpha=rank, init_lora_weights="gaussian", target_modules=TARGETS)
        unet.add_adapter(config, adapter_name=NAME)
    factors = [parameter for parameter in unet.parameters() if parameter.requires_grad]
    for parameter in factors:
        parameter.data = parameter.data.float()
    return factors


def full_rank(unet: UNet2DConditionModel) -> int:
    """The rank at which a LoRA can say of each attention projection all that another weight could."""
    return max(min(each.in_features, each.out_features) for each in _targets(unet))


def lora_numbers(unet: UNet2DConditionModel, rank: int) -> int:
    """How many weights a LoRA of a rank has."""
    return sum(rank * (each.in_features + each.out_features) for each in _targets(unet))


def _targets(unet: UNet2DConditionModel) -> list[Any]:
    return [each for name, each in unet.named_modules() if name.endswith(tuple(f".{target}" for target in TARGETS))]


def lora_of(unet: UNet2DConditionModel) -> dict[str, Tensor]:
    """The factors of a U-Net's LoRA, under the names that diffusers' `load_lora_weights` knows."""
    return {
        f"{PREFIX}.{name}": value.detach() for name, value in get_peft_model_state_dict(unet, adapter_name=NAME).items()
    }


def put_lora(unet: UNet2DConditionModel, tensors: Mapping[str, Tensor], about: Mapping[str, str]) -> None:
    """Put a LoRA beside a U-Net's weights, in its precision; about: what the file of the tensors says of itself."""
    own = {name: value.to(unet.device, unet.dtype) for name, value in tensors.items()}
    said = json.loads(about[ABOUT]) if ABOUT in about else None
    unet.load_lora_adapter(own, prefix=PREFIX, adapter_name=NAME, metadata=said)
    unet.requires_grad_(False).eval()


def read_lora(path: Path, unet: UNet2DConditionModel) -> tuple[dict[str, Tensor], dict[str, str]]:
    """A LoRA file of diffusers and what it says of itself.

    Raises FileNotFoundError where there is none, ValueError for a damaged file, or one that is not of this U-Net.
    """
    if not path.is_file():
        raise FileNotFoundError(f"method.lora ({path}) is no file: give a pytorch_lora_weights.safetensors")
    remedy = "give a LoRA that was learned with this base's U-Net"
    tensors, about = read_tensors(path, remedy)
    shapes = {name: tuple(value.shape) for name, value in unet.state_dict().items()}
    for name, value in tensors.items():
        fault = _fault(name, value, shapes)
        if fault:
            raise ValueError(f"{path} {fault}: {remedy}")
    parts = {_factor(name) for name in tensors}
    if not parts or any((module, part) not in parts for module, _ in parts for part in ("down", "up")):
        raise ValueError(f"{path} holds no whole LoRA: {remedy}")
    return tensors, about


def _fault(name: str, value: Tensor, shapes: Mapping[str, tuple[int, ...]]) -> str:
    """What keeps a tensor from being a factor of a LoRA of weights of these shapes; "" if nothing does."""
    module, part = _factor(name)
    shape = shapes.get(f"{module}.weight") if name.startswith(f"{PREFIX}.") else None
    if not part or shape is None:
        return f"holds {name}, which is no LoRA of this base's U-Net"
    side = 1 if part == "down" else 0  # the up factor has the weight's rows, the down factor its columns
    if value.ndim != len(shape) or value.shape[side] != shape[side]:
        return f"is of another base, for {name} is {list(value.shape)} where the weight is {list(shape)}"
    return "" if value.isfinite().all() else f"holds numbers that are not finite, in {name}"


def _factor(name: str) -> tuple[str, str]:
    """The module that a tensor of a LoRA belongs to, and which of its two factors it is; "" for any other tensor."""
    for end, part in ENDS.items():
        if name.endswith(end):
            return name.removesuffix(end).removeprefix(f"{PREFIX}."), part
    return name, ""
