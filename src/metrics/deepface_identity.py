"""The recognisers of the package deepface as identity judges: its detectors, its alignment, its weights."""

import importlib.util
import os
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from src.metrics.identity import Face, largest_faces

# what deepface 0.0.103 reads, from where it keeps what it fetches; its ONNX files alone, none of which can run code
RECOGNISERS = {
    "VGG-Face": "vgg_face_weights.onnx",
    "Facenet": "facenet_weights.onnx",
    "Facenet512": "facenet512_weights.onnx",
    "OpenFace": "openface_weights.onnx",
    "DeepFace": "VGGFace2_DeepFace_weights_val-0.9034.onnx",
    "ArcFace": "arcface_weights.onnx",
    "SFace": "face_recognition_sface_2021dec.onnx",
}
DETECTORS = {  # those that need no package besides
    "opencv": ("haarcascade_frontalface_default.xml", "haarcascade_eye.xml"),
    "retinaface": ("retinaface.onnx",),
    "yunet": ("face_detection_yunet_2023mar.onnx",),
}
ENGINE = "onnx"


class DeepfaceIdentity:
    """One of deepface's recognisers behind one of its detectors (Serengil & Ozpinar 2020), as that package runs them.

    `model` and `detector` are its names for them; `align`: whether a face is turned until its eyes are level. The
    largest face of a picture is cut out, padded to the recogniser's input and looked at; nothing else is normalised.
    The package fetches weights when the judge is first asked, into DEEPFACE_HOME/.deepface/weights (DEEPFACE_HOME is
    the home folder, if not set), and runs on ONNX Runtime, whatever else is installed.

    FileNotFoundError without the package; ValueError for a name that it doesn't have and, when first asked, for weights
    that cannot be had or read.
    """

    def __init__(self, *, name: str, model: str, detector: str = "opencv", align: bool = True, licence: str = ""):
        for setting, value, known in (("model", model, RECOGNISERS), ("detector", detector, DETECTORS)):
            if value not in known:
                raise ValueError(f"identity judge {name}: {setting} ({value}) must be one of {', '.join(known)}")
        if importlib.util.find_spec("deepface") is None:
            raise FileNotFoundError(
                f"identity judge {name}: the package deepface is missing: install profusion[deepface], as "
                "`pip install -e '.[deepface]'` does"
            )
        self.name, self.model, self.detector, self.align, self.licence = name, model, detector, align, licence

    @property
    def about(self) -> str:
        """How faces are found and aligned."""
        return f"deepface's {self.detector} detector, {'eyes made level' if self.align else 'not aligned'}"

    def lacking(self) -> list[Path]:
        """The files of weights that are to be fetched."""
        kept = Path(os.environ.get("DEEPFACE_HOME") or Path.home()) / ".deepface" / "weights"
        files = [kept / file for file in (RECOGNISERS[self.model], *DETECTORS[self.detector])]
        return [file for file in files if not file.is_file() and not _with_opencv(file.name)]

    def at_hand(self) -> bool:
        """Whether the weights are on this machine; else deepface fetches them when the judge is first asked."""
        return not self.lacking()

    def release(self) -> None:
        """Let go of the nets, which the package would keep; they are read again when they are needed."""
        for kept in getattr(sys.modules.get("deepface.modules.modeling"), "cached_models", {}).values():
            kept.clear()

    def see(self, pictures: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Pictures uint8 [3, H, W] of any sizes -> unit vectors [N, D], nan without a face; faces found [N]."""
        return largest_faces(pictures, self.detect, lambda vectors: F.normalize(torch.stack(vectors), dim=-1))

    def detect(self, picture: Tensor) -> list[Face]:
        """A picture uint8 [3, H, W] -> its faces as (area in pixels, vector [D])."""
        package = self._package()
        from deepface.modules.exceptions import FaceNotDetected, ImgNotFound

        bgr = np.ascontiguousarray(picture.permute(1, 2, 0).numpy()[..., ::-1])
        how = {"model_name": self.model, "detector_backend": self.detector, "align": self.align}
        try:
            faces = package.represent(bgr, **how)
        except (FaceNotDetected, ImgNotFound):  # none, or none with an area
            return []
        return [(float(f["facial_area"]["w"] * f["facial_area"]["h"]), torch.tensor(f["embedding"])) for f in faces]

    def compare(self, a: Tensor, b: Tensor) -> Tensor:
        """Embeddings [..., D] -> cosines [...]."""
        return (a * b).sum(-1)

    def _package(self) -> Any:
        """deepface with both nets loaded."""
        os.environ["DEEPFACE_BACKEND_ENGINE"] = ENGINE
        with warnings.catch_warnings():  # it would silence everybody's
            from deepface import DeepFace
            from deepface.commons.backend_utils import get_backend_engine
        if get_backend_engine() != ENGINE:
            raise ValueError(f"deepface was told to run on {get_backend_engine()}, and its judges run on {ENGINE}")
        try:
            DeepFace.build_model(self.detector, task="face_detector")
            DeepFace.build_model(self.model)
        except ValueError as error:
            raise ValueError(f"identity judge {self.name}: {self.model} cannot be loaded: {error}") from error
        return DeepFace


def _with_opencv(file: str) -> bool:
    """Whether OpenCV brings this file along, as it did before version 5."""
    spec = importlib.util.find_spec("cv2")
    return spec is not None and spec.origin is not None and (Path(spec.origin).parent / "data" / file).is_file()
