"""How well an image shows what a prompt says: cosine of the two embeddings of any open_clip backbone."""

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

LOCAL = "local-dir:"
WEIGHTS = "open_clip_model.safetensors"


class TextSimilarity:
    """A text judge; its image half alone is a judge of image similarity (CLIP-I).

    `model` is an open_clip name with the tag (or the file) of its weights in `pretrained`, such as "ViT-B-32" and
    "openai", or "local-dir:FOLDER" with open_clip_config.json, open_clip_model.safetensors and the tokenizer's files.
    Images are resized and normalised as the backbone's own configuration says, texts go through its own tokenizer, and
    quick-GELU is what the tag was trained with (open_clip itself would only warn). The weights are read when the judge
    is first asked, and let go of by `release`. `device`: where it looks.

    FileNotFoundError without the folder or one of its files. ValueError where open_clip knows no such model or tag;
    when first asked, where the weights cannot be had or do not fit.
    """

    def __init__(self, *, name: str, model: str, pretrained: str | None = None, device: str = "cpu", licence: str = ""):
        _check(model, pretrained)
        self.name, self.model, self.pretrained, self.licence, self.device = name, model, pretrained, licence, device

    @cached_property
    def clip(self) -> Any:
        """The backbone with its weights, frozen."""
        import open_clip

        quick = _quick_gelu(self.model, self.pretrained)
        try:
            clip = open_clip.create_model(
                self.model, self.pretrained, device=self.device, require_pretrained=True, force_quick_gelu=quick
            )
        except (RuntimeError, SafetensorError, pickle.UnpicklingError) as error:
            what = f"{self.model} ({self.pretrained})"
            raise ValueError(f"text judge {self.name}: {what} cannot be loaded: {error}") from error
        return clip.eval().requires_grad_(False)

    @cached_property
    def tokenizer(self) -> Any:
        """The backbone's own tokenizer."""
        import open_clip

        return open_clip.get_tokenizer(self.model)

    def at_hand(self) -> bool:
        """Whether the weights are on this machine; else open_clip fetches them when the judge is first asked."""
        import open_clip

        known = {} if self.model.startswith(LOCAL) else open_clip.get_pretrained_cfg(self.model, self.pretrained or "")
        files = (open_clip.constants.HF_SAFE_WEIGHTS_NAME, open_clip.constants.HF_WEIGHTS_NAME)
        hub = known.get("hf_hub", "").strip("/") if known else ""
        return not known or any(isinstance(try_to_load_from_cache(hub, file), str) for file in files if hub)

    def release(self) -> None:
        """Let go of the weights; they are read again when they are needed."""
        self.__dict__.pop("clip", None)

    def preprocess(self, images: Tensor) -> Tensor:
        """images [B, 3, H, W], in [-1, 1] or uint8 -> as the backbone wants them, on its device."""
        from open_clip.transform import PreprocessCfg, image_transform_v2

        *fit, normalise = image_transform_v2(PreprocessCfg(**self.clip.visual.preprocess_cfg), False).transforms
        images = images.to(self.device)
        for step in fit:
            images = step(images)
        return normalise(images.float() / 255 if images.dtype == torch.uint8 else (images + 1) / 2)

    @torch.no_grad()
    def forward(self, inputs: Tensor) -> Tensor:
        """Preprocessed images -> the image tower's answer [B, D]."""
        return self.clip.encode_image(inputs)

    def embed_images(self, images: Tensor) -> Tensor:
        """images [B, 3, H, W], in [-1, 1] or uint8 -> unit vectors [B, D]."""
        return F.normalize(self.forward(self.preprocess(images)).float(), dim=-1)

    @torch.no_grad()
    def embed_texts(self, prompts: Sequence[str]) -> Tensor:
        """B prompts -> unit vectors [B, D]."""
        return F.normalize(self.clip.encode_text(self.tokenizer(list(prompts)).to(self.device)).float(), dim=-1)

    def see(self, pictures: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Pictures uint8 [3, H, W] of any sizes -> unit vectors [N, D], and one [N] for no face is looked for."""
        inputs = torch.cat([self.preprocess(stack) for stack in stacks(pictures)])
        return F.normalize(self.forward(inputs).float(), dim=-1).cpu(), torch.ones(len(pictures), dtype=torch.int)

    def say(self, prompts: Sequence[str]) -> Tensor:
        """P prompts -> unit vectors [P, D]."""
        return self.embed_texts(prompts).cpu()

    def too_long(self, prompts: Sequence[str]) -> list[str]:
        """Those of the prompts whose ends this judge would never read: more tokens than its text tower takes."""
        longest = self.tokenizer.context_length
        short, whole = self.tokenizer(list(prompts)), self.tokenizer(list(prompts), context_length=2 * longest)
        pad = self.tokenizer([""], context_length=2 * longest)[0, -1]
        cut = (short != whole[:, :longest]).any(1) | (whole[:, longest:] != pad).any(1)
        return [prompt for prompt, is_cut in zip(prompts, cut.tolist(), strict=True) if is_cut]

    def compare(self, a: Tensor, b: Tensor) -> Tensor:
        """Embeddings [..., D] -> cosines [...]."""
        return (a * b).sum(-1)

    def __call__(self, images: Tensor, prompts: Sequence[str]) -> Tensor:
        """images [B, 3, H, W] in [-1, 1] and their B prompts, the subject named generically -> cosines [B]."""
        if len(images) != len(prompts):
            raise ValueError(f"{len(images)} images but {len(prompts)} prompts: every image needs its prompt")
        unique = list(dict.fromkeys(prompts))
        texts = self.embed_texts(unique)[[unique.index(prompt) for prompt in prompts]]
        return (self.embed_images(images) * texts).sum(-1).cpu()


def is_tower(model: str, pretrained: str | None, towers: Sequence[str]) -> bool:
    """Whether a backbone is one of the generator's text `towers`, each "MODEL/TAG" in open_clip's words."""
    return f"{model}/{pretrained}".replace("-quickgelu", "") in towers


def _check(model: str, pretrained: str | None) -> None:
    """Refuse what open_clip would load with random weights."""
    if model.startswith(LOCAL):
        for part in ("open_clip_config.json", WEIGHTS):
            path = Path(model.removeprefix(LOCAL)) / part
            if not path.is_file():
                raise FileNotFoundError(
                    f"{path} is missing: a text judge in a folder needs its configuration and its weights"
                )
            if path.suffix == ".json" and "trust_remote_code" in path.read_text(encoding="utf-8"):
                raise ValueError(f"{path} asks to run code of its own (trust_remote_code): take that out, or leave it")
        return
    import open_clip

    if model not in open_clip.list_models():
        raise ValueError(f"open_clip knows no model {model!r}: see open_clip.list_models(), or give {LOCAL}FOLDER")
    tags = open_clip.list_pretrained_tags_by_model(model)
    if pretrained is None or (pretrained not in tags and not Path(pretrained).is_file()):
        raise ValueError(
            f"{model} has no weights {pretrained!r}: choose a file or one of {', '.join(tags) or 'no known tag'}"
        )


def _quick_gelu(model: str, pretrained: str | None) -> bool:
    """Whether a tag's weights want quick-GELU forced on; else the model's own configuration decides."""
    import open_clip

    return not model.startswith(LOCAL) and bool(open_clip.get_pretrained_cfg(model, pretrained or "").get("quick_gelu"))
