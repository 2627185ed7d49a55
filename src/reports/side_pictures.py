"""The pictures of several sides, one above the other, for the same people, prompts and seeds."""

from collections.abc import Mapping

from PIL import Image

from src.reports.grids import image_grid
from src.runs.run import Run


def side_grid(sides: Mapping[str, Run], people: int | None = None) -> Image.Image:
    """For each person a row of each side; columns: the photo, then prompts x seeds. people: the first; None: all."""
    first = next(iter(sides.values())).scores()
    columns = list(dict.fromkeys((row["prompt"], row["seed"]) for row in first))
    rows, labels = [], []
    for person in list(dict.fromkeys(row["person"] for row in first))[:people]:
        for name, run in sides.items():
            own = {(row["prompt"], row["seed"]): row for row in run.scores() if row["person"] == person}
            photo = run.path(next(iter(own.values()))["photo"])
            rows.append([photo, *(run.path(own[column]["file"]) for column in columns)])
            labels.append(f"{person} {name}")
    return image_grid(rows, labels, ["photo", *(prompt for prompt, _ in columns)])
