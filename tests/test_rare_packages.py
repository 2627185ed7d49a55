"""What trains, draws and measures speed runs where nothing is installed that few need."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
RARE = ["wandb", "wandb_workspaces", "litdata", "insightface", "onnxruntime", "onnx", "choix", "krippendorff"]
RARE += ["open_clip", "timm", "dlib", "deepface"]
MODULES = ["train", "build_tiny_world", "personalise", "bench", "methods.profusion", "harness.sides"]
MODULES += ["benchmarks.train", "benchmarks.gpu"]


def test_no_rare_package_is_imported_before_it_is_used():
    absent = f"import sys; sys.modules |= dict.fromkeys({RARE})"  # as if they were not installed
    wanted = "; ".join(f"import src.{name}" for name in MODULES)
    done = subprocess.run(
        [sys.executable, "-c", f"{absent}; {wanted}"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-500:]
