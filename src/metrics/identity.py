"""How much an image shows the person of a photo: cosine of the two embeddings of any ONNX face recogniser."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
import torch.nn.functional as F
from insightface.model_zoo import get_model
from torch import Tensor


class Identity:
    """An identity judge.

    `model` is an ONNX recogniser that insightface can load: a square input of at least 112 pixels, its colours in the
    order red, green, blue (insightface takes BGR pictures and turns them), scaled to (value - input_mean) / input_std
    for values in 0..255. `presence`, if any, is a net of the same kind with one output that is positive where there is
    a face. Images are taken as aligned faces; nothing is searched for in them.

    Raises:
        FileNotFoundError: a file is missing.
        ValueError: a file is no such net.
    """

    def __init__(
        self,
        *,
        name: str,
        model: str,
        presence: str | None = None,
        input_mean: float = 127.5,
        input_std: float = 127.5,
        threads: int = 1,
    ):
        self.name = name
        self.recogniser = _load(model, input_mean, input_std, threads)
        self.detector = _load(presence, input_mean, input_std, threads) if presence else None

    def embed(self, images: Tensor) -> Tensor:
        """images [B, 3, H, W] in [-1, 1] -> unit vectors [B, D]."""
        return F.normalize(_run(self.recogniser, images), dim=-1)

    def present(self, images: Tensor) -> Tensor:
        """images [B, 3, H, W] in [-1, 1] -> bool [B]: is there a face? Always, for a judge without a presence net."""
        if self.detector is None:
            return torch.ones(len(images), dtype=torch.bool)
        return _run(self.detector, images)[:, 0] > 0

    def similarity(self, images: Tensor, photos: Tensor) -> Tensor:
        """images and photos [B, 3, H, W] in [-1, 1] -> cosines [B], whether or not there is a face (see `present`)."""
        return (self.embed(images) * self.embed(photos)).sum(-1)


def _load(path: str, mean: float, std: float, threads: int) -> Any:
    """An insightface model. It guesses mean and std from the names of the first nodes, so they are set here."""
    file = Path(path).resolve()
    if not file.is_file():
        raise FileNotFoundError(f"{path} is missing: an identity judge needs its ONNX file")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    try:
        net = get_model(os.fspath(file), providers=["CPUExecutionProvider"], sess_options=options)
    except onnxruntime.capi.onnxruntime_pybind11_state.InvalidProtobuf as error:
        raise ValueError(f"{path} is damaged or no ONNX file: {error}") from error
    if not hasattr(net, "get_feat"):
        raise ValueError(f"{path} is no face recogniser: its input must be [N, 3, S, S] with S >= 112 a multiple of 16")
    net.input_mean, net.input_std = mean, std
    return net


def _run(net: Any, images: Tensor) -> Tensor:
    """[B, 3, H, W] in [-1, 1] -> the net's output [B, D]."""
    side = net.input_size[0]
    fitted = F.interpolate(images.float(), (side, side), mode="bilinear", antialias=True, align_corners=False)
    rgb = ((fitted.clamp(-1, 1) + 1) * 127.5).permute(0, 2, 3, 1).numpy()
    return torch.from_numpy(net.get_feat([np.ascontiguousarray(picture[..., ::-1]) for picture in rgb]))
