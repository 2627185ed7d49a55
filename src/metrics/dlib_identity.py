"""dlib's face recogniser as an identity judge. Its weights (CC0) are in the PyPI package face_recognition_models."""

import importlib.util
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from src.metrics.identity import Face, largest_faces

RECOGNISER, LANDMARKS = "dlib_face_recognition_resnet_model_v1.dat", "shape_predictor_5_face_landmarks.dat"


class DlibIdentity:
    """dlib's recogniser behind its own detector and alignment (King, dlib 19.4; 99.4 % on LFW).

    It was trained so that two photos of one person lie less than 0.6 apart, so its similarity is 1 - distance: 1 for
    the same photo, above 0.4 for the same person. `weights` is the folder of the two .dat files; None finds it in the
    installed package face_recognition_models. `min_confidence` leaves out what the detector is hardly sure of (it sees
    a face in the mission badge of scikit-image's astronaut at 0.12; she herself has 1.2).
    FileNotFoundError where dlib or its weights are not installed.
    """

    def __init__(
        self,
        *,
        name: str,
        weights: str | None = None,
        min_confidence: float = 0.2,
        licence: str = "CC0",
    ):
        folder = Path(weights) if weights else _installed()
        absent = [file for file in (RECOGNISER, LANDMARKS) if not (folder / file).is_file()]
        if absent or importlib.util.find_spec("dlib") is None:
            lacking = ", ".join(str(folder / file) for file in absent) or "dlib"
            raise FileNotFoundError(
                f"identity judge {name}: {lacking} is missing: run `pip install dlib-bin face_recognition_models`"
            )
        self.name, self.licence, self.min_confidence, self._folder = name, licence, min_confidence, folder

    @cached_property
    def nets(self) -> tuple[Any, Any, Any]:
        """dlib's detector, landmarks and recogniser."""
        import dlib

        landmarks = dlib.shape_predictor(str(self._folder / LANDMARKS))
        recogniser = dlib.face_recognition_model_v1(str(self._folder / RECOGNISER))
        return dlib.get_frontal_face_detector(), landmarks, recogniser

    @property
    def about(self) -> str:
        """How faces are found and aligned."""
        return "dlib's frontal detector, aligned along its five landmarks"

    def at_hand(self) -> bool:
        """Whether the weights are on this machine: a judge whose files are missing cannot be built."""
        return True

    def release(self) -> None:
        """Let go of the nets; they are read again when they are needed."""
        self.__dict__.pop("nets", None)

    def see(self, pictures: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Pictures uint8 [3, H, W] of any sizes -> embeddings [N, 128], nan without a face; faces found [N]."""
        return largest_faces(pictures, self.detect, self.forward)

    def detect(self, picture: Tensor) -> list[Face]:
        """A picture uint8 [3, H, W] -> its faces as (area in pixels, aligned crop uint8 [3, 150, 150])."""
        import dlib

        detector, landmarks, _ = self.nets
        rgb = np.ascontiguousarray(picture.permute(1, 2, 0).numpy())
        boxes, _, _ = detector.run(rgb, 1, self.min_confidence)  # enlarged once: faces from 40 pixels on
        chips = [dlib.get_face_chip(rgb, landmarks(rgb, box)) for box in boxes]
        return [(float(b.area()), torch.from_numpy(c).permute(2, 0, 1)) for b, c in zip(boxes, chips, strict=True)]

    def forward(self, chips: Sequence[Tensor]) -> Tensor:
        """Aligned crops uint8 [3, 150, 150] -> embeddings [N, 128]."""
        arrays = [np.ascontiguousarray(chip.permute(1, 2, 0).numpy()) for chip in chips]
        return torch.tensor(np.array(self.nets[2].compute_face_descriptor(arrays)), dtype=torch.float32)

    def compare(self, a: Tensor, b: Tensor) -> Tensor:
        """Embeddings [..., 128] -> 1 - distance [...]."""
        return 1 - (a - b).norm(dim=-1)


def _installed() -> Path:
    """Where pip put the weights; the package itself cannot be imported with current setuptools, and need not be."""
    spec = importlib.util.find_spec("face_recognition_models")
    if spec is None or spec.origin is None:
        raise FileNotFoundError(
            "dlib's weights are missing: run `pip install dlib-bin face_recognition_models`, or give weights=FOLDER"
        )
    return Path(spec.origin).parent / "models"
