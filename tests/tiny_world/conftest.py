"""What the tests of the world share: untrained parts, and judges, nets and fine-tunings of a known closed form."""

from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from src.metrics.identity import Identity
from src.models.base import TextToImage
from src.models.promptnet import PromptNet
from src.tiny_world.generator import TEXT_WIDTH, new_text_encoder, new_tokenizer
from src.tiny_world.judges.identity import write_onnx
from src.tiny_world.names import Names
from src.tiny_world.photos import reference
from src.tiny_world.renderer.people import SPLITS


@pytest.fixture(scope="module")
def tokenizer():
    return new_tokenizer()


@pytest.fixture(scope="module")
def text_encoder(tokenizer):
    torch.manual_seed(0)
    return new_text_encoder(tokenizer).eval()


@pytest.fixture(scope="module")
def names():
    torch.manual_seed(1)
    return Names(TEXT_WIDTH)


def ids_of(tokenizer, caption):
    return tokenizer(caption, padding="max_length", return_tensors="pt").input_ids


@pytest.fixture
def photo() -> Tensor:
    return reference(SPLITS["validation"][0], ())


@pytest.fixture
def promptnet(tiny_base: TextToImage) -> PromptNet:
    torch.manual_seed(3)
    net = PromptNet.from_unet(tiny_base.unet, vision_width=48, text_width=32, pseudo_channels=8)
    return net.requires_grad_(False).eval()


class MeanColour(nn.Module):
    """[B, 3, 112, 112] -> the mean of each channel."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean((2, 3))


@pytest.fixture(scope="session")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Identity:
    path = tmp_path_factory.mktemp("judge") / "mean.onnx"
    write_onnx(MeanColour(), path)
    return Identity(name="mean", model=str(path))


@dataclass(frozen=True)
class Idle:
    """A fine-tuning that learns nothing."""

    lr: float = 1e-3
    steps: int = 5

    def __call__(self, base: TextToImage, promptnet: PromptNet, photos: Tensor) -> SimpleNamespace:
        return SimpleNamespace(base=base, promptnet=promptnet)


@pytest.fixture
def idle() -> Idle:
    return Idle()


class Reader(nn.Module):
    """eps, the same at every place, is the sum of four numbers of the text states at `positions`."""

    def __init__(self, positions: list[int] | slice):
        super().__init__()
        self.positions, self.config = positions, SimpleNamespace(sample_size=16, in_channels=4)
        self.dtype = torch.float32

    def forward(self, x: Tensor, t: Tensor, encoder_hidden_states: Tensor, **_: object) -> SimpleNamespace:
        read = encoder_hidden_states[:, self.positions, :4].sum(1)
        return SimpleNamespace(sample=read[..., None, None].expand_as(x))


@pytest.fixture
def reading(tiny_base: TextToImage) -> Callable[[list[int] | slice], TextToImage]:
    """Positions -> the base with a `Reader` of them for a U-Net."""

    def base_reading(positions: list[int] | slice) -> TextToImage:
        other = object.__new__(TextToImage)
        other.__dict__ = dict(tiny_base.__dict__)
        other._modules = dict(tiny_base._modules) | {"unet": Reader(positions)}
        return other

    return base_reading
