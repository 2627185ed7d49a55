"""How well an image shows what a prompt says: cosine of the two embeddings of any open_clip backbone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import open_clip
import torch
import torch.nn.functional as F
from open_clip.transform import PreprocessCfg, image_transform_v2
from torch import Tensor

LOCAL = "local-dir:"
WEIGHTS = "open_clip_model.safetensors"


class TextSimilarity:
    """A text judge.

    `model` is an open_clip name with the tag (or the file) of its weights in `pretrained`, such as "ViT-B-32" and
    "openai", or "local-dir:FOLDER" with open_clip_config.json, open_clip_model.safetensors and the tokenizer's files.
    Images are resized and normalised as the backbone's own configuration says, texts go through its own tokenizer.

    Raises:
        FileNotFoundError: the folder or one of its files is missing.
        ValueError: open_clip knows no such model or tag, or the weights cannot be fetched or do not fit.
    """

    def __init__(self, *, name: str, model: str, pretrained: str | None = None, device: str = "cpu"):
        _check(model, pretrained)
        self.name, self.device = name, device
        try:
            self.clip = open_clip.create_model(model, pretrained, device=device, require_pretrained=True)
        except RuntimeError as error:
            raise ValueError(f"text judge {name}: {model} ({pretrained}) cannot be loaded: {error}") from error
        self.clip.eval().requires_grad_(False)
        self.tokenizer = open_clip.get_tokenizer(model)
        self.preprocess = image_transform_v2(PreprocessCfg(**self.clip.visual.preprocess_cfg), is_train=False)

    @torch.no_grad()
    def embed_images(self, images: Tensor) -> Tensor:
        """images [B, 3, H, W] in [-1, 1] -> unit vectors [B, D]."""
        seen = self.preprocess((images + 1) / 2).to(self.device)
        return F.normalize(self.clip.encode_image(seen), dim=-1)

    @torch.no_grad()
    def embed_texts(self, prompts: Sequence[str]) -> Tensor:
        """B prompts -> unit vectors [B, D]."""
        return F.normalize(self.clip.encode_text(self.tokenizer(list(prompts)).to(self.device)), dim=-1)

    def __call__(self, images: Tensor, prompts: Sequence[str]) -> Tensor:
        """images [B, 3, H, W] in [-1, 1] and their B prompts, the subject named generically -> cosines [B]."""
        if len(images) != len(prompts):
            raise ValueError(f"{len(images)} images but {len(prompts)} prompts: every image needs its prompt")
        unique = list(dict.fromkeys(prompts))
        texts = self.embed_texts(unique)[[unique.index(prompt) for prompt in prompts]]
        return (self.embed_images(images) * texts).sum(-1).cpu()


def _check(model: str, pretrained: str | None) -> None:
    """Refuse what open_clip would load with random weights."""
    if model.startswith(LOCAL):
        for part in ("open_clip_config.json", WEIGHTS):
            path = Path(model.removeprefix(LOCAL)) / part
            if not path.is_file():
                raise FileNotFoundError(
                    f"{path} is missing: a text judge in a folder needs its configuration and its weights"
                )
        return
    if model not in open_clip.list_models():
        raise ValueError(f"open_clip knows no model {model!r}: see open_clip.list_models(), or give {LOCAL}FOLDER")
    tags = open_clip.list_pretrained_tags_by_model(model)
    if pretrained is None or (pretrained not in tags and not Path(pretrained).is_file()):
        raise ValueError(
            f"{model} has no weights {pretrained!r}: choose a file or one of {', '.join(tags) or 'no known tag'}"
        )
