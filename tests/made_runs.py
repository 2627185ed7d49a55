"""Small runs with drawn pictures and made-up scores, written by the functions that write real ones."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from src.files.sheets import read_sheet
from src.harness.study import Study, one_by_one

PROMPTS = (
    ("after", "a photo of S* at the beach"),
    ("after", "a photo of S* wearing a red hat in the snow"),
    ("before", "a pencil sketch of S*"),
    ("before", "an oil painting of S* with a <b>golden</b> crown & a cape </script>"),
)
SKIES = {
    prompt: colour for (_, prompt), colour in zip(PROMPTS, ("#7cc4e8", "#dfe8ee", "#f4efe4", "#c9a35a"), strict=True)
}
# what the judges say on average: text/a, text/b, identity/c
LEVELS = {
    "full": (0.27, 0.25, 0.62),
    "no_fusion": (0.24, 0.23, 0.66),
    "no_refinement": (0.25, 0.22, 0.50),
    "copy": (0.12, 0.10, 1.00),
    "other": (0.30, 0.27, 0.05),
    "generic": (0.29, 0.27, 0.08),
    "oracle": (0.33, 0.30, 0.95),
    "oracle_vae": (0.32, 0.29, 0.90),
}


def drawing(person: int, prompt: str, seed: int, size: int = 64, wear: float = 0.0) -> Tensor:
    """A face of this person before the prompt's sky, [3, size, size] in [-1, 1], with noise of strength `wear`."""
    rng = np.random.default_rng([person, seed, len(prompt)])
    grid = (np.mgrid[0:size, 0:size] / size - 0.5) + 0.04 * rng.normal(size=(2, 1, 1))
    sky = [int(SKIES.get(prompt, "#bbbbbb")[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    image = np.broadcast_to(np.array(sky)[:, None, None], (3, size, size)).copy()
    skin = np.random.default_rng(person).uniform(0.3, 0.9, 3)
    image[:, np.hypot(*grid) < 0.3] = skin[:, None]
    for x in (-0.1, 0.1):
        image[:, np.hypot(grid[0] + 0.06, grid[1] - x) < 0.04] = 0.1
    image[:, (np.abs(grid[0] - 0.13) < 0.02) & (np.abs(grid[1]) < 0.12)] = 0.35
    return torch.from_numpy((image + wear * rng.normal(size=image.shape)).clip(0, 1) * 2 - 1).float()


def photo(person: int | str) -> Tensor:
    return drawing(int(person), "", 0)[None]


def study(root: Path, *, people: Sequence[int], seeds: int, score: Callable, logger: Mapping | None = None) -> Study:
    about = {"judges": ["text/a", "text/b", "identity/c"]}
    whole = {"identity": about, "weights": {}, "code": "c", "logger": logger or {"mode": "disabled"}, "group": "made"}
    return Study(root=root, people=people, prompts=PROMPTS, seeds=range(seeds), photo=photo, score=score, **whole)


def scorer(name: str) -> Callable:
    """Scores around the levels of this side; every person and prompt has its own ease, shared by all sides."""

    def score(folder: Path) -> list[dict]:
        rows = read_sheet(folder / "images.csv")
        for row in rows:
            shared = np.random.default_rng([int(row["person"]), len(row["prompt"])])
            own = np.random.default_rng([int(row["person"]), len(row["prompt"]), int(row["seed"]), *name.encode()])
            for column, level in zip(("text/a", "text/b", "identity/c"), LEVELS[name], strict=True):
                row[column] = round(level + 0.02 * shared.normal() + 0.015 * own.normal(), 5)
            row["face_found"] = int(own.uniform() < 0.97)
        return rows

    return score


def make_runs(
    root: Path,
    names: Sequence[str] = tuple(LEVELS),
    *,
    people: Sequence[int] = (300000, 300001, 300002),
    seeds: int = 2,
    logger: Mapping | None = None,
    learned: Path | None = None,
) -> dict[str, Path]:
    """One finished run for each name of LEVELS -> its folder."""
    folders = {}
    for name in names:

        def meet(person: int | str, name: str = name) -> Callable[[Sequence[str], Sequence[int]], Tensor]:
            wear = {"full": 0.03, "no_fusion": 0.12, "no_refinement": 0.2}.get(name, 0.0)
            if name == "copy":
                return lambda prompts, numbers: photo(person).expand(len(numbers), -1, -1, -1)
            return lambda prompts, numbers: torch.stack(
                [drawing(int(person), prompt, n % 997, wear=wear) for prompt, n in zip(prompts, numbers, strict=True)]
            )

        made = study(root, people=people, seeds=seeds, score=scorer(name), logger=logger)
        tags = ["made", "method" if name in ("full", "no_fusion", "no_refinement") else "anchor"]
        run, _ = made.side(name, {"side": name}, one_by_one(meet), tags=tags, learned=learned)
        folders[name] = run.folder
    return folders
