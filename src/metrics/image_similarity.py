"""How much two images show the same thing: cosine of the two embeddings of any timm backbone (DINO, say)."""

import pickle
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from huggingface_hub import try_to_load_from_cache
from safetensors import SafetensorError
from torch import Tensor

from src.metrics.pictures import stacks


class ImageSimilarity:
    """An image judge.

    `model` is a timm name with its tag, such as "vit_small_patch16_224.dino"; `weights` a file of its weights, or None
    for those of the tag, which timm fetches. Images are resized, cropped and normalised as the tag says. The weights
    are read when the judge is first asked, and let go of by `release`. `device`: where it looks.

    FileNotFoundError without that file. ValueError where timm knows no such model or no weights for it; when first
    asked, where they cannot be had or do not fit.
    """

    def __init__(self, *, name: str, model: str, weights: str | None = None, device: str = "cpu", licence: str = ""):
        import timm

        if not timm.is_model(model.partition(".")[0]):
            raise ValueError(f"timm knows no model {model!r}: see timm.list_models()")
        if weights is None and model not in timm.list_models(pretrained=True):
            raise ValueError(f"timm has no weights {model!r}: choose one of timm.list_models(pretrained=True)")
        if weights is not None and not Path(weights).is_file():
            raise FileNotFoundError(f"{weights} is missing: image judge {name} needs its weights")
        self.name, self.model, self.weights, self.licence, self.device = name, model, weights, licence, device

    @cached_property
    def net(self) -> Any:
        """The backbone without a classifier, frozen."""
        import timm

        try:
            net = timm.create_model(
                self.model, pretrained=self.weights is None, num_classes=0, checkpoint_path=self.weights or ""
            )
        except (RuntimeError, OSError, SafetensorError, pickle.UnpicklingError) as error:
            raise ValueError(f"image judge {self.name}: {self.model} cannot be loaded: {error}") from error
        return net.eval().requires_grad_(False).to(self.device)

    def at_hand(self) -> bool:
        """Whether the weights are on this machine; else timm fetches them when the judge is first asked."""
        import timm

        hub = getattr(timm.get_pretrained_cfg(self.model), "hf_hub_id", None)
        cached = hub is not None and isinstance(try_to_load_from_cache(hub, "model.safetensors"), str)
        return self.weights is not None or cached

    def release(self) -> None:
        """Let go of the weights; they are read again when they are needed."""
        self.__dict__.pop("net", None)

    def preprocess(self, images: Tensor) -> Tensor:
        """images uint8 [B, 3, H, W] -> as the backbone wants them, on its device."""
        from timm.data import create_transform, resolve_model_data_config

        steps = create_transform(**resolve_model_data_config(self.net), is_training=False).transforms
        images = images.to(self.device)
        for step in steps[:-2]:  # resize and crop; the last two are to float and normalise
            images = step(images)
        return steps[-1](images.float() / 255)

    @torch.no_grad()
    def forward(self, inputs: Tensor) -> Tensor:
        """Preprocessed images -> pooled features [B, D]."""
        return self.net(inputs)

    def see(self, pictures: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Pictures uint8 [3, H, W] of any sizes -> unit vectors [N, D], and one [N] for no face is looked for."""
        inputs = torch.cat([self.preprocess(stack) for stack in stacks(pictures)])
        return F.normalize(self.forward(inputs).float(), dim=-1).cpu(), torch.ones(len(pictures), dtype=torch.int)

    def compare(self, a: Tensor, b: Tensor) -> Tensor:
        """Embeddings [..., D] -> cosines [...]."""
        return (a * b).sum(-1)
