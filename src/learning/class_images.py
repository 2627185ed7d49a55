"""Images of a class that the frozen base makes: what prior preservation holds on to (Ruiz et al. 2022, DreamBooth)."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor

from src.files.whole import check_record, locked
from src.learning.person_file import fingerprint, write
from src.models.base import TextToImage
from src.models.folders import read_tensors
from src.models.personal import PersonalNoise
from src.sampling import Condition, fusion_sample, seeded_randn_like

AGAIN = "delete it to make them again"


@dataclass(frozen=True)
class ClassImages:
    """`number` images by DDIM in `steps` under a prompt alone, `batch` at once. seed: of the first."""

    number: int
    steps: int = 50
    guidance: float = 7.5
    batch: int = 4
    seed: int = 0

    def __call__(self, base: TextToImage, prompt: str, folder: Path | None = None) -> Tensor:
        """[N, 3, H, W] in [-1, 1], 8 bits a channel: made once for a base, a prompt and settings, and kept in `folder`.

        ValueError for a file that is damaged, or holds images of another base.
        """
        if folder is None:
            return _images(self._made(base, prompt), base)
        about = self._about(base, prompt)
        path = folder / f"{hashlib.sha256(json.dumps(about).encode()).hexdigest()[:12]}.safetensors"
        with locked(path.with_suffix(".lock"), f"the class images of {prompt!r}"):
            if not path.exists():
                write(path, {"images": self._made(base, prompt).cpu()}, about)
        return _images(_read(path, about), base)

    def _about(self, base: TextToImage, prompt: str) -> dict[str, str]:
        parts = {name: getattr(base, name).state_dict() for name in ("unet", "text_encoder", "vae")}
        start = fingerprint({f"{part}.{name}": value for part, own in parts.items() for name, value in own.items()})
        decisive = {name: str(value) for name, value in asdict(self).items() if name != "batch"}
        return {"prompt": prompt, "base": start, "dtype": str(base.unet.dtype), **decisive}

    @torch.no_grad()
    def _made(self, base: TextToImage, prompt: str) -> Tensor:
        """uint8 [N, 3, H, W]."""
        noise, made = PersonalNoise(base), []
        for first in range(0, self.number, self.batch):
            randn_like = seeded_randn_like(range(self.seed + first, self.seed + min(first + self.batch, self.number)))
            rows = min(self.batch, self.number - first)
            latents = fusion_sample(
                noise,
                randn_like(torch.empty(rows, *base.latent_shape, device=base.device)),
                base.schedule(self.steps),
                joint=(),
                separate=[(Condition(prompt), self.guidance)],
                fusion_steps=0,
                fusion_eta=0.0,
                eta=0.0,
                randn_like=randn_like,
            )
            made.append(((base.decode(latents) + 1) * 127.5).round().to(torch.uint8))
        return torch.cat(made)


def _read(path: Path, about: Mapping[str, str]) -> Tensor:
    check_record(path, AGAIN)
    tensors, said = read_tensors(path, AGAIN)
    if said != {"format": "pt", **about}:
        raise ValueError(f"{path} holds class images of another base or prompt: {AGAIN}")
    return tensors["images"]


def _images(pixels: Tensor, base: TextToImage) -> Tensor:
    return pixels.to(base.device).float() / 127.5 - 1
