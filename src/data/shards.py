"""Shards: prepared photos in a few large files, for clusters whose file systems dislike 70,000 small ones.

Which photo stands in which slot of which step is decided by src.data.datamodule, from (seed, step, slot) alone; so a
shard library must give photo k to any rank and worker that asks for it, and keep no state that a killed run would lose.
- litdata does: `dataset[k]` reads that one sample from the mapped file, by an index that is the same for everybody. Its
  own shuffled order is not used: it depends on the number of ranks and workers, and needs a saved state to resume.
- webdataset streams: a worker gets whole shards, shuffles within a buffer, and resumes at the start of a shard at best.
  Its indexed reader is no longer part of the package.
- mosaicml-streaming has an order that is fixed whatever the number of ranks, but coordinates through shared memory that
  a killed process leaves behind, and asks for older versions of transformers, huggingface_hub and numpy than ours.
A photo is kept as PNG, so that shards give the very numbers that the folder gives; a shard holds bytes and no pickles.
"""

import io
import json
import secrets
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset
from tqdm import tqdm

from src.data.photos import Named
from src.files.whole import locked, naming, read_object, write_atomic

NAMES = "photos.json"
SHARD_BYTES = "64MB"
AT_ONCE = 64  # photos that are read and compressed side by side


def write_shards(photos: Named, folder: Path, *, threads: int = 8) -> None:
    """Write all photos, square, to shards in `folder`, which is whole or not there.

    Raises ValueError if the folder exists, OSError if it cannot be written.
    """
    with locked(folder.with_suffix(".lock"), f"shards {folder}"):
        if folder.exists():
            raise ValueError(f"{folder} exists: delete it, or give another out")
        for left in folder.parent.glob(f".{folder.name}.*.tmp"):  # by a killed writer
            shutil.rmtree(left)
        draft = folder.parent / f".{folder.name}.{secrets.token_hex(4)}.tmp"
        try:
            with naming(folder.parent):
                _fill(photos, draft, threads)
                size = photos[0]["image"].shape[-1]
                write_atomic(draft / NAMES, json.dumps({"size": size, "names": photos.names}).encode())
                draft.rename(folder)
        finally:
            shutil.rmtree(draft, ignore_errors=True)


def _fill(photos: Named, draft: Path, threads: int) -> None:
    from litdata.streaming import Cache

    shards, total = Cache(str(draft), chunk_bytes=SHARD_BYTES), len(photos.names)
    with ThreadPoolExecutor(threads) as pool, tqdm(total=total, desc="writing shards", delay=2) as bar:
        for start in range(0, total, AT_ONCE):
            numbers = range(start, min(start + AT_ONCE, total))
            for number, data in zip(numbers, pool.map(lambda k: _png(photos[k]["image"]), numbers), strict=True):
                shards[number] = data
                bar.update()
    shards.done()
    shards.merge()


def _png(image: Tensor) -> bytes:
    """The file's bytes for [3, H, W] in [-1, 1]; pixels that were 8-bit numbers come back exactly."""
    pixels = torch.round((image + 1) * 127.5).clamp(0, 255).to(torch.uint8).permute(1, 2, 0).numpy()
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, format="PNG")
    return data.getvalue()


class Shards(Dataset[dict[str, Tensor]]):
    """What `write_shards` wrote, as {"image": [3, size, size]} in [-1, 1], in the same order, with the same `names`.

    Raises FileNotFoundError for a folder without shards, and ValueError for photos of another size and for shards
    that hold, or that would run, anything but photos.
    """

    def __init__(self, folder: str | Path, *, size: int):
        self.folder = Path(folder).expanduser()
        about, index = (_read(self.folder / name) for name in (NAMES, "index.json"))
        self.names: list[str] = about["names"]
        if about["size"] != size:
            raise ValueError(f"{folder} holds photos of {about['size']} pixels, not {size}: prepare them anew")
        self._check(index)
        from litdata import StreamingDataset

        self.samples = StreamingDataset(str(self.folder), shuffle=False)

    def _check(self, index: dict[str, Any]) -> None:
        kinds, held = index["config"]["data_format"], sum(chunk["chunk_size"] for chunk in index["chunks"])
        if kinds != ["bytes"]:  # litdata would unpickle what calls itself a pickle
            raise ValueError(f"{self.folder} holds {kinds}, not photos: write it with python -m src.prepare_data")
        missing = [c["filename"] for c in index["chunks"] if not (self.folder / c["filename"]).is_file()]
        if missing or held != len(self.names):
            what = f"lacks {missing[0]}" if missing else f"holds {held} photos and {len(self.names)} names"
            raise ValueError(f"{self.folder} {what}: copy it again, or prepare it anew")

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        with Image.open(io.BytesIO(self.samples[index])) as picture:
            return {"image": torch.from_numpy(np.array(picture)).permute(2, 0, 1).float() / 127.5 - 1}


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise FileNotFoundError(f"no shards at {path.parent} (it lacks {path.name}): run python -m src.prepare_data")
    return read_object(path, "copy it again, or prepare the shards anew")
