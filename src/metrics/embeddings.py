"""What a judge saw, by the content of the picture: kept in files, so that nothing is looked at twice by one judge."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file, save
from torch import Tensor

from src.files.whole import sha256_of, write_atomic


class Embeddings:
    """One judge's embeddings: SHA-256 of a picture's file, or of a prompt -> vector and number of faces.

    `folder` holds them as files that are whole or not there, each written once and called by its own SHA-256; None
    keeps nothing. ValueError for a file that is not what its name says.
    """

    def __init__(self, folder: Path | None = None):
        self.folder = folder
        self._known: dict[str, tuple[Tensor, int]] = {}
        for path in sorted(folder.glob("*.safetensors")) if folder else ():
            if sha256_of(path) != path.stem:
                raise ValueError(f"{path} is damaged or foreign (its SHA-256 is not its name): delete it to look again")
            self._take(load_file(path))

    def missing(self, keys: Sequence[str]) -> list[str]:
        """Those of the keys that are not known, each once."""
        return [key for key in dict.fromkeys(keys) if key not in self._known]

    def add(self, keys: Sequence[str], vectors: Tensor, faces: Tensor) -> None:
        """Take in vectors [N, D] (nan where there is none) and numbers of faces [N]; written at once."""
        digests = torch.frombuffer(bytearray(bytes.fromhex("".join(keys))), dtype=torch.uint8).view(-1, 32)
        shard = {"keys": digests, "vectors": vectors.float().contiguous(), "faces": faces.int().contiguous()}
        if self.folder:
            content = save(shard)
            write_atomic(self.folder / f"{hashlib.sha256(content).hexdigest()}.safetensors", content)
        self._take(shard)

    def vectors(self, keys: Sequence[str]) -> Tensor:
        """[N, D]; nan where the judge found no face to look at."""
        width = max(len(self._known[key][0]) for key in keys)
        return torch.stack([self._filled(key, width) for key in keys])

    def prompts(self, prompts: Sequence[str]) -> Tensor:
        """The vectors [N, D] of prompts."""
        return self.vectors([prompt_key(prompt) for prompt in prompts])

    def faces(self, keys: Sequence[str]) -> Tensor:
        """The number of faces [N] in each picture, as this judge's detector finds them."""
        return torch.tensor([self._known[key][1] for key in keys])

    def _filled(self, key: str, width: int) -> Tensor:
        vector = self._known[key][0]
        return vector if len(vector) == width else torch.full((width,), torch.nan)

    def _take(self, shard: Mapping[str, Tensor]) -> None:
        keys = [bytes(key.tolist()).hex() for key in shard["keys"]]
        self._known |= dict(zip(keys, zip(shard["vectors"], shard["faces"].tolist(), strict=True), strict=True))


def prompt_key(prompt: str) -> str:
    """The key of a prompt."""
    return hashlib.sha256(f"prompt {prompt}".encode()).hexdigest()
