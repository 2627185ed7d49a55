"""Random tiny judges in the real formats: a CLIP in open_clip's folder, nets in ONNX."""

from collections.abc import Callable
from pathlib import Path

import open_clip
import pytest
import torch
from torch import Tensor, nn

from src.tiny_world.judges.identity import ConvRecogniser, write_onnx
from src.tiny_world.judges.text import build_tokenizer, write_text_judge

WriteClip = Callable[..., open_clip.CLIP]


class MeanColour(nn.Module):
    """[B, 3, 112, 112] -> the mean of each channel: what arrives at a net, and in which order."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean((2, 3))


class Brightness(nn.Module):
    """A presence net that sees a face in bright images."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean((1, 2, 3))[:, None]


def _write_clip(folder: Path, *, seed: int = 0, patch: int = 8) -> open_clip.CLIP:
    torch.manual_seed(seed)
    tokenizer = build_tokenizer()
    text = {"context_length": 32, "vocab_size": tokenizer.get_vocab_size(), "width": 32, "heads": 2, "layers": 1}
    vision = {"image_size": 32, "patch_size": patch, "width": 32, "layers": 1, "head_width": 16}
    config = {"embed_dim": 16, "vision_cfg": vision, "text_cfg": text | {"hf_tokenizer_name": "tokenizer.json"}}
    clip = open_clip.CLIP(**config)
    write_text_judge(clip, config, tokenizer, folder)
    return clip.half().float().eval()


@pytest.fixture(scope="session")
def write_clip() -> WriteClip:
    """(folder, seed, patch) -> a random CLIP, as it was written to `folder`."""
    return _write_clip


@pytest.fixture(scope="session")
def clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clip")
    _write_clip(folder)
    return folder


@pytest.fixture(scope="session")
def nets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """random.onnx, mean.onnx and presence.onnx."""
    folder = tmp_path_factory.mktemp("nets")
    torch.manual_seed(0)
    write_onnx(ConvRecogniser(out=16, width=8), folder / "random.onnx")
    write_onnx(MeanColour(), folder / "mean.onnx")
    write_onnx(Brightness(), folder / "presence.onnx")
    return folder
