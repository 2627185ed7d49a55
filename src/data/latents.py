"""The latent cache: what the frozen encoders make of every photo, computed once, so that training skips them.

Kept are mean and standard deviation of the VAE's posterior, from which each step still draws its own latents, and the
vision tokens: about 800 KB a photo at Stable Diffusion 2's size. A cache is bound to the very encoders that made it.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor
from torch.utils.data import Dataset
from tqdm import tqdm

from src.data.photos import Named
from src.files.whole import make_folder, read_object, write_atomic

ABOUT = "latents.json"
ROWS = 256  # photos in a file
PARTS = ("mean", "std", "vision")

Encode = Callable[[Tensor], Mapping[str, Tensor]]  # images [B, 3, H, W] -> PARTS, float32 [B, ...]


def write_latents(
    photos: Named, encode: Encode, folder: Path, *, encoders: str, vision_dtype: torch.dtype, batch: int = 8
) -> None:
    """Write what `encode` makes of all photos to `folder`, file by file; what is there already is not made again.

    encoders: a digest of the encoders. vision_dtype: the image encoder's own, in which its tokens are kept exactly.
    Raises ValueError if the folder holds latents of other photos or encoders, or if vision_dtype loses a digit.
    """
    about = {"encoders": encoders, "rows": ROWS, "names": photos.names}
    if (make_folder(folder) / ABOUT).exists() and _about(folder) != about:
        raise ValueError(f"{folder} holds latents of other photos or encoders: delete it, or give another out")
    write_atomic(folder / ABOUT, json.dumps(about).encode())
    total = len(photos.names)
    with tqdm(total=total, desc="encoding", delay=2) as bar:
        for start in range(0, total, ROWS):
            numbers, file = range(start, min(start + ROWS, total)), folder / _file(start)
            if not file.exists():
                write_atomic(file, save(_encoded(photos, encode, numbers, vision_dtype, batch)))
            bar.update(len(numbers))


def _encoded(photos: Named, encode: Encode, numbers: range, vision_dtype: torch.dtype, batch: int) -> dict[str, Tensor]:
    rows: dict[str, list[Tensor]] = {name: [] for name in PARTS}
    for start in range(0, len(numbers), batch):
        images = torch.stack([photos[number]["image"] for number in numbers[start : start + batch]])
        for name, value in encode(images).items():
            rows[name].append(_kept(value.cpu(), vision_dtype) if name == "vision" else value.cpu())
    return {name: torch.cat(values).contiguous() for name, values in rows.items()}


def _kept(vision: Tensor, dtype: torch.dtype) -> Tensor:
    if not torch.equal(vision.to(dtype).float(), vision):
        raise ValueError(
            f"vision_dtype ({dtype}) does not hold the vision tokens exactly: give the image encoder's own"
        )
    return vision.to(dtype)


def _file(index: int) -> str:
    return f"latents-{index // ROWS:05d}.safetensors"


def _about(folder: Path) -> dict[str, Any]:
    if not (folder / ABOUT).is_file():
        raise FileNotFoundError(f"no latents at {folder}: run python -m src.prepare_data latents=true")
    return read_object(folder / ABOUT, "delete the folder and prepare it anew")


class LatentCache(Dataset[dict[str, Tensor]]):
    """What `write_latents` wrote: {"mean", "std": [C, h, w], "vision": [N, Dv]} in float32, in the photos' order.

    Call `check` before training on it. Raises FileNotFoundError for a folder without latents or with files missing.
    """

    def __init__(self, folder: str | Path):
        self.folder = Path(folder).expanduser()
        about = _about(self.folder)
        self.names: list[str] = about["names"]
        self.encoders: str = about["encoders"]
        self._files: dict[str, Any] = {}
        missing = [name for k in range(0, len(self), ROWS) if not (self.folder / (name := _file(k))).is_file()]
        if missing:
            raise FileNotFoundError(
                f"{self.folder} lacks {len(missing)} files, first {missing[0]}: run python -m src.prepare_data again, "
                "it goes on where it stopped"
            )

    def check(self, encoders: str) -> None:
        """ValueError unless the cache was made by the encoders of this digest (src.models.digest.encoders_digest)."""
        if encoders != self.encoders:
            raise ValueError(
                f"the latents in {self.folder} were made by other encoders (SHA-256 {self.encoders[:12]}) than this "
                f"base has ({encoders[:12]}): prepare them with this base, or train on photos"
            )

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        file = self._open(_file(index))
        return {name: file.get_slice(name)[index % ROWS].float() for name in PARTS}

    def _open(self, name: str) -> Any:
        """The file, mapped; opened once a process."""
        if name not in self._files:
            try:
                self._files[name] = safe_open(self.folder / name, framework="pt")
            except SafetensorError as error:
                raise ValueError(f"{self.folder / name} is damaged ({error}): delete it and prepare it anew") from error
        return self._files[name]

    def __getstate__(self) -> dict[str, Any]:
        """Open files do not travel to another process."""
        return {**self.__dict__, "_files": {}}
