"""Images of a class that the frozen base makes: what prior preservation holds on to (Ruiz et al. 2022, DreamBooth)."""

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor

from src.files.whole import check_record, locked, read_json, write_atomic
from src.learning.person_file import fingerprint, state_of, write
from src.models.base import TextToImage
from src.models.digest import schedule_digest
from src.models.folders import read_tensors
from src.models.personal import PersonalNoise
from src.sampling import Condition, fusion_sample, seeded_randn_like

AGAIN = "delete it to make them again"
# the code that decides them, as files of the package
CODE = (
    "diffusion.py",
    "sampling.py",
    "models/base.py",
    "models/personal.py",
    "models/prompts.py",
    "learning/class_images.py",
)


@dataclass(frozen=True)
class ClassImages:
    """`number` images by DDIM in `steps` under a prompt alone, `batch` at once. seed: of the first."""

    number: int
    steps: int = 50
    guidance: float = 7.5
    batch: int = 4
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("number", "steps", "batch"):
            if getattr(self, name) < 1:
                raise ValueError(f"method.class_images.{name} ({getattr(self, name)}) must be at least 1")
        if self.guidance < 0:
            raise ValueError(f"method.class_images.guidance ({self.guidance}) must be 0 or more")

    def check(self, base: TextToImage) -> None:
        """ValueError for steps that this base's noise schedule does not have."""
        try:
            base.schedule(self.steps)
        except ValueError as error:
            raise ValueError(f"method.class_images.steps ({self.steps}) do not fit this base: {error}") from error

    def __call__(self, base: TextToImage, prompt: str, folder: Path | None = None, code: str = "") -> Tensor:
        """[N, 3, H, W] in [-1, 1], 8 bits a channel: made once for a base, a prompt and settings, and kept in `folder`.

        code: the digest of CODE. ValueError for a file that is damaged, or holds images of another base.
        """
        if folder is None:
            return _images(self._made(base, prompt), base)
        return _images(_read(*self._kept(base, prompt, folder, code)), base)

    def seconds(self, base: TextToImage, prompt: str, folder: Path, code: str) -> float:
        """What it took to make those in `folder`, now or before."""
        path, _ = self._kept(base, prompt, folder, code)
        return float(read_json(path.with_suffix(".json"))["seconds"])

    def _kept(self, base: TextToImage, prompt: str, folder: Path, code: str) -> tuple[Path, dict[str, str]]:
        """Their file, made first if it is not there, and what it says of itself."""
        about = {**self._about(base, prompt), "code": code}
        path = folder / f"{hashlib.sha256(json.dumps(about).encode()).hexdigest()[:12]}.safetensors"
        with locked(path.with_suffix(".lock"), f"the class images of {prompt!r}"):
            if not path.exists():
                started = time.perf_counter()
                images = self._made(base, prompt).cpu()
                cost = {"seconds": time.perf_counter() - started, "images": len(images)}
                write_atomic(path.with_suffix(".json"), json.dumps(cost).encode())
                write(path, {"images": images}, about)
        return path, about

    def _about(self, base: TextToImage, prompt: str) -> dict[str, str]:
        """What decides them but for code: `batch` does not, since no image depends on those beside it."""
        start = fingerprint(state_of(unet=base.unet, text_encoder=base.text_encoder, vae=base.vae))
        decisive = {name: str(value) for name, value in asdict(self).items() if name != "batch"}
        made_by = {"base": start, "dtype": str(base.unet.dtype), "schedule": schedule_digest(base)}
        return {"prompt": prompt, **made_by, **decisive}

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
