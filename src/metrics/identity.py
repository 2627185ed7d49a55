"""How much an image shows the person of a photo: cosine of the two embeddings of any ONNX face recogniser."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from src.metrics.pictures import stacks

Face = tuple[float, Tensor]  # area in pixels, aligned crop uint8 [3, S, S]


@dataclass(frozen=True)
class Inference:
    """How an identity judge's nets are run. min_confidence: of a detector's face; threads: of ONNX Runtime, whose
    execution providers are tried in their order."""

    min_confidence: float = 0.5
    threads: int = 1
    providers: Sequence[str] = ("CPUExecutionProvider",)


class Identity:
    """An identity judge.

    `model` is an ONNX recogniser [N, 3, S, S] -> [N, D] whose input is an aligned face in the order `colours`, scaled
    to (value - input_mean) / input_std for values in 0..255. How faces are found is part of the judge:

    - `detector`: an insightface detector with five landmarks (det_10g.onnx of the pack buffalo_l, say). The largest
      face is cut out along ArcFace's landmarks, whose crop is 112 or 128 pixels or a multiple.
    - `presence`: a net of the recogniser's kind with one output that is positive where there is a face; images are
      taken as aligned faces.
    - neither: images are taken as aligned faces, and a face is always there.

    `source` says where to get the files. Nets are read when the judge is first asked, and let go of by `release`.

    FileNotFoundError without a file; ValueError for both ways of finding faces at once and, when first asked, for a
    file that is no such net.
    """

    def __init__(
        self,
        *,
        name: str,
        model: str,
        detector: str | None = None,
        presence: str | None = None,
        input_mean: float = 127.5,
        input_std: float = 127.5,
        colours: Literal["rgb", "bgr"] = "rgb",
        inference: Inference | None = None,
        licence: str = "",
        source: str = "",
    ):
        absent = [path for path in (model, detector, presence) if path and not Path(path).is_file()]
        if absent:
            where = source or "an identity judge needs its ONNX files"
            raise FileNotFoundError(f"identity judge {name}: {', '.join(absent)} is missing: {where}")
        if detector and presence:
            raise ValueError(f"identity judge {name}: give a detector or a presence net, not both")
        if colours not in ("rgb", "bgr"):
            raise ValueError(f"identity judge {name}: colours ({colours}) must be rgb or bgr")
        self.name, self.licence, self.colours, self.inference = name, licence, colours, inference or Inference()
        self.input_mean, self.input_std = input_mean, input_std
        self._files: dict[str, Any] = {"recogniser": model, "detector": detector, "presence": presence}

    @cached_property
    def recogniser(self) -> Any:
        """The recogniser as insightface holds it. It guesses mean and std from names of nodes, so they are set."""
        return self._recogniser("recogniser")

    @cached_property
    def presence(self) -> Any:
        """The presence net, or None."""
        return self._recogniser("presence") if self._files["presence"] else None

    @cached_property
    def detector(self) -> Any:
        """The detector, or None."""
        if not self._files["detector"]:
            return None
        net = self._load("detector")
        if not getattr(net, "use_kps", False):
            raise ValueError(f"{self._files['detector']} is no detector with landmarks, such as det_10g.onnx")
        return net

    @property
    def about(self) -> str:
        """How faces are found and aligned; "" where images are taken as aligned faces."""
        file = self._files["detector"]
        return f"{Path(file).name}, aligned along ArcFace's five landmarks" if file else ""

    def at_hand(self) -> bool:
        """Whether the weights are on this machine: a judge whose files are missing cannot be built."""
        return True

    def release(self) -> None:
        """Let go of the nets; they are read again when they are needed."""
        for name in self._files:
            self.__dict__.pop(name, None)

    def see(self, pictures: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Pictures uint8 [3, H, W] of any sizes -> unit vectors [N, D], nan without a crop; faces found [N]."""
        if self.detector is not None:
            return largest_faces(pictures, self.detect, lambda chips: self.embed(torch.stack(chips)))
        seen = [self._whole(images) for images in stacks(pictures)]
        return torch.cat([vectors for vectors, _ in seen]), torch.cat([faces for _, faces in seen])

    def _whole(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Aligned images [B, 3, H, W] -> unit vectors [B, D], one face or none each [B]."""
        inputs = self.preprocess(images)
        faces = torch.ones(len(images)) if self.presence is None else self.forward(inputs, self.presence)[:, 0] > 0
        return F.normalize(self.forward(inputs, self.recogniser), dim=-1), faces.int()

    def detect(self, picture: Tensor) -> list[Face]:
        """A picture uint8 [3, H, W] -> its faces as (area in pixels, aligned crop uint8 [3, S, S])."""
        from insightface.utils.face_align import norm_crop

        bgr = np.ascontiguousarray(picture.permute(1, 2, 0).numpy()[..., ::-1])
        boxes, landmarks = self.detector.detect(bgr, det_thresh=self.inference.min_confidence)
        side = self.recogniser.input_size[0]
        faces = []
        for (left, top, right, bottom, _), points in zip(boxes, landmarks, strict=True):
            chip = norm_crop(bgr, points, side)[..., ::-1].copy()
            faces.append((float((right - left) * (bottom - top)), torch.from_numpy(chip).permute(2, 0, 1)))
        return faces

    def preprocess(self, images: Tensor) -> np.ndarray:
        """images [B, 3, H, W], in [-1, 1] or uint8 -> the net's input."""
        side = self.recogniser.input_size[0]
        images = images.cpu()  # where ONNX Runtime looks
        values = images.float() if images.dtype == torch.uint8 else (images.float().clamp(-1, 1) + 1) * 127.5
        if values.shape[-2:] != (side, side):
            values = F.interpolate(values, (side, side), mode="bilinear", antialias=True, align_corners=False)
        scaled = values.sub_(self.input_mean).div_(self.input_std)  # in place: fresh memory costs more than the sums
        return (scaled if self.colours == "rgb" else scaled.flip(1)).contiguous().numpy()

    def forward(self, inputs: np.ndarray, net: Any) -> Tensor:
        """Preprocessed images -> the net's answer [B, D]."""
        return torch.from_numpy(net.session.run(net.output_names, {net.input_name: inputs})[0])

    def embed(self, images: Tensor) -> Tensor:
        """Aligned images [B, 3, H, W], in [-1, 1] or uint8 -> unit vectors [B, D]."""
        return F.normalize(self.forward(self.preprocess(images), self.recogniser), dim=-1)

    def present(self, images: Tensor) -> Tensor:
        """images [B, 3, H, W] in [-1, 1] -> bool [B]: is there a face? Always, for a judge without a presence net."""
        if self.presence is None:
            return torch.ones(len(images), dtype=torch.bool)
        return self.forward(self.preprocess(images), self.presence)[:, 0] > 0

    def compare(self, a: Tensor, b: Tensor) -> Tensor:
        """Embeddings [..., D] -> cosines [...]."""
        return (a * b).sum(-1)

    def _recogniser(self, role: str) -> Any:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = self.inference.threads, 1
        net = self._load(role, sess_options=options)
        if not hasattr(net, "get_feat"):
            what = "its input must be [N, 3, S, S] with S >= 112 a multiple of 16"
            raise ValueError(f"{self._files[role]} is no face recogniser: {what}")
        return net

    def _load(self, role: str, **options: Any) -> Any:
        import onnxruntime
        from insightface.model_zoo import get_model

        path = Path(self._files[role]).resolve()
        try:
            return get_model(os.fspath(path), providers=list(self.inference.providers), **options)
        except onnxruntime.capi.onnxruntime_pybind11_state.InvalidProtobuf as error:
            raise ValueError(f"{path} is damaged or no ONNX file: {error}") from error


def largest_faces(
    pictures: Sequence[Tensor], detect: Callable[[Tensor], list[Face]], embed: Callable[[list[Tensor]], Tensor]
) -> tuple[Tensor, Tensor]:
    """Pictures uint8 [3, H, W] -> the vectors [N, D] of their largest faces, nan without one; faces in each [N]."""
    every = [detect(picture) for picture in pictures]
    faces = torch.tensor([len(several) for several in every], dtype=torch.int)
    if not faces.any():
        return torch.full((len(pictures), 1), torch.nan), faces
    known = embed([max(several, key=lambda face: face[0])[1] for several in every if several])
    vectors = torch.full((len(pictures), known.shape[1]), torch.nan)
    vectors[faces > 0] = known
    return vectors, faces
