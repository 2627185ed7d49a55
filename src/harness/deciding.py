"""What decides a result: of its settings and of the code that computes it; nothing else enters its digest."""

from collections.abc import Sequence
from typing import Any

from src.harness.compose import PACKAGE
from src.runs.digests import code_digest

# whose code decides each kind of result, as files and folders of the package; where a module stands decides nothing
BASE = ("diffusion.py", *(f"models/{name}.py" for name in ("base", "promptnet", "promptnet_files", "prompts")))
PHOTOS = ("files/pictures.py", "data/photos.py", "data/people_folder.py", "tiny_world/photos.py", "tiny_world/renderer")
TRAINING = (  # the weights that pre-training ends with, and what its validation says
    *BASE,
    *PHOTOS,
    "models/random_base.py",
    *(f"data/{name}.py" for name in ("datamodule", "latents", "photo_index", "shards")),
    *(f"learning/{name}.py" for name in ("callbacks", "checkpoints", "pretrain", "stopping", "trainer")),
)
PERSON = (  # what is learned of somebody
    *BASE,
    *PHOTOS,
    *(f"models/{name}.py" for name in ("random_base", "inpainter", "pipelines")),
    *(f"data/{name}.py" for name in ("augment", "face_mask")),
    *(f"learning/{name}.py" for name in ("finetune", "pretrain", "tuned")),
)
IMAGE = (*PERSON, "sampling.py", "methods", "models/personal.py", "models/recording.py", "harness/study.py")
SCORE = ("metrics", "files/pictures.py", "files/folders.py", "files/sheets.py")
SIDE = (*IMAGE, *SCORE)  # a run of images and their scores
STATISTIC = ("statistics", "files/rows.py")
CLAIM = (*SIDE, *TRAINING, *STATISTIC, "harness/claim.py")
PAGE = ("reports", "runs", "human", *STATISTIC, "files/html.py", "files/pictures.py")


def code_of(parts: Sequence[str]) -> str:
    """The digest of the code of one kind of result, such as SIDE."""
    return code_digest(PACKAGE, parts)


def portable(value: Any) -> Any:
    """Plain data in which paths inside this package read the same on every machine."""
    if isinstance(value, dict):
        return {key: portable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [portable(item) for item in value]
    return value.replace(str(PACKAGE), "src") if isinstance(value, str) else value


# where and how fast something is computed, and where it is kept: no result depends on it beyond rounding
INDIFFERENT = (
    "device",
    "accelerator",
    "compile",
    "offload",
    "gradient_checkpointing",
    "preflight_only",
    "runs",
    "logger",
)


def deciding(value: Any, name: str = "") -> Any:
    """Plain data without the settings that decide no result, to be digested."""
    if isinstance(value, list):
        return [deciding(item, name) for item in value]
    if not isinstance(value, dict):
        return value
    spare = {*INDIFFERENT, *(("batch",) if name == "sampler" else ()), *(() if value.get("tf32") else ("tf32",))}
    return {key: deciding(item, str(key)) for key, item in value.items() if key not in spare}
