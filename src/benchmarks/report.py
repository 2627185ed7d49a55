"""What `src.bench gpu` found, as it is kept (gpu.json) and shown: tables, a page, a picture."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from textwrap import fill
from typing import Any

from src.files.whole import write_atomic
from src.reports.figures import bars
from src.reports.formats import WIDTH, to_markdown, to_text
from src.statistics.table import Table

SAMPLED = {"sample": "", "sample_cheaper": "", "sample_recorded": ", recorded", "sample_compiled": ", compiled"}
STEPS = 50  # of fine-tuning and of sampling, for which the goals are set
NEAR = 1e-3  # of max |x|, or of a cosine: what two devices may differ by
PASSING = ("date", "commit")  # what of a machine may change between two calls whose parts are kept together
TITLES = {
    "same": "Same numbers: the embedded world here and on the CPU, float32 without TF32",
    "same_compiled": "Same numbers, compiled",
    "pretrain": "Pre-training PromptNet",
    "finetune": "Learning one person",
    "sample": "Sampling",
    "sample_cheaper": "Sampling with shortcuts, and in fewer steps",
    "sample_recorded": "Sampling, calls recorded and replayed (CUDA graphs)",
    "sample_compiled": "Sampling, transformer blocks compiled, calls recorded and replayed",
}
NOTES = {
    "same": "a trajectory's distance is the largest at any of its points, as a share of max |x| there; a learned "
    "change's is relative; a score's is that of two cosines",
    "pretrain": "TFLOP: matrix products and convolutions that one photo needs, forward and backward, counted by "
    "torch.utils.flop_counter; what checkpointing computes twice counts once",
    "finetune": "seconds: all of it, from copying the U-Net to the last step",
    "sample_cheaper": "to bare U-Net: as a multiple of the evaluations that it would need without shortcuts",
    "sample": "to bare U-Net: the time as a multiple of that of the U-Net evaluations alone that it needs, in the same "
    "batches, without gradients",
}
Found = dict[str, Any]


class Results:
    """about: the machine, versions, date; parts: name -> {seconds, failure, rows, notes}. Kept in `folder` as gpu.json.

    Parts that were found on the same machine before are taken over.
    """

    def __init__(self, folder: Path, about: Found):
        self.folder, self.about, self.parts = folder, about, dict[str, Found]()
        stored = read(folder)
        if stored and _lasting(stored["about"]) == _lasting(about):
            self.parts = stored["parts"]

    def keep(self, name: str, part: Found) -> None:
        """Write all files anew with this part."""
        self.parts[name] = part
        found = {"about": self.about, "parts": self.parts}
        write_atomic(self.folder / "gpu.json", (json.dumps(found, indent=1) + "\n").encode())
        write_pages(self.folder)


def read(folder: Path) -> Found | None:
    """What gpu.json holds; None where there is none."""
    path = folder / "gpu.json"
    return json.loads(path.read_text()) if path.is_file() else None


def _lasting(about: Mapping[str, Any]) -> Found:
    return {name: value for name, value in about.items() if name not in PASSING}


def write_pages(folder: Path) -> None:
    """gpu.md, and gpu.png if there is anything to be drawn, from gpu.json."""
    found = read(folder)
    panels = [] if found is None else drawn(found["parts"])
    if panels:
        write_atomic(folder / "gpu.png", bars(panels))
    write_atomic(folder / "gpu.md", page(found, picture=bool(panels)).encode())


def page(found: Found | None, picture: bool) -> str:
    """The page as markdown; "not measured yet" without results."""
    lines = ["# How fast on a GPU, and whether it computes the same", "", "Written by `make bench-gpu`.", ""]
    if found is None:
        return (
            "\n".join([*lines, "Result: *not measured yet*. It takes a machine with one NVIDIA GPU, and no network."])
            + "\n"
        )
    lines += [", ".join(f"{name} {value}" for name, value in found["about"].items() if value is not None) + ".", ""]
    lines += ["## Goals", "", to_markdown(goals(found["parts"]))]
    lines += ["![seconds and images a second](gpu.png)", ""] if picture else []
    for name in (name for name in TITLES if name in found["parts"]):
        part = found["parts"][name]
        lines += [f"## {TITLES[name]}", "", f"{part['seconds']:.0f} s.{_failed(part)}", ""]
        lines += [to_markdown(table_of(name, part))] if part["rows"] else []
    return "\n".join(lines)


def text_of(name: str, part: Found) -> str:
    """One part for the terminal."""
    head = f"\n{TITLES[name]} ({part['seconds']:.0f} s){_failed(part)}\n"
    table = table_of(name, part)
    notes = [fill(note, WIDTH) for note in table.notes]
    return "\n".join([head + (to_text(Table(table.rows)) if part["rows"] else ""), *notes])


def _failed(part: Mapping[str, Any]) -> str:
    return f" Not all of it: {part['failure']}." if part["failure"] else ""


def table_of(name: str, part: Found) -> Table:
    """The rows of a part with the names and digits that a reader wants."""
    rows = [_same_row(row) if name.startswith("same") else _scale_row(row) for row in part["rows"]]
    note = NOTES.get(name)
    return Table(rows, [*([note] if note else []), *part["notes"]])


def _same_row(row: Mapping[str, Any]) -> Found:
    limit = row.get("limit")
    held = None if limit is None else "yes" if row["distance"] <= limit else "NO"
    return {"what": row["what"], "distance": f"{row['distance']:.1e}", f"within {NEAR:g}": held}


HEADS = {  # column of a row -> (heading, digits); the others are shown as they are
    "images_per_second": ("images/s", 1),
    "step_seconds": ("s a step", 3),
    "to_bare_step": ("to bare step", 2),
    "to_bare_unet": ("to bare U-Net", 2),
    "peak_gib": ("peak GiB", 1),
    "tflop_per_image": ("TFLOP/image", 2),
    "tflops": ("TFLOP/s", 0),
    "share_of_peak": ("of bf16 peak", 3),
    "seconds_per_image": ("s an image", 3),
    "seconds": ("seconds", 1),
    "evaluations": ("U-Net evaluations", 0),
}
HIDDEN = ("did_not_fit", "warm_up")


def _scale_row(row: Mapping[str, Any]) -> Found:
    shown = {name: value for name, value in row.items() if name not in HIDDEN}
    return {
        HEADS.get(name, (name,))[0]: f"{value:.{HEADS[name][1]}f}" if name in HEADS and value is not None else value
        for name, value in shown.items()
    }


def _best(rows: Iterable[Mapping[str, Any]], name: str, best: Any) -> float | None:
    values = [row[name] for row in rows if row.get(name) is not None]
    return best(values) if values else None


def goals(parts: Mapping[str, Found]) -> Table:
    """What was wanted of one H100, what was found, and whether that is enough."""
    rows = {name: [row for row in part["rows"] if row.get("steps", STEPS) == STEPS] for name, part in parts.items()}
    bounded = [row for row in rows.get("same", []) if row.get("limit") is not None]
    base = [row for name in SAMPLED for row in rows.get(name, []) if row["sampler"] == "base"]
    single = [row for row in base if row["batch"] == 1]
    wanted = [
        ("farthest trajectory or score", _best(bounded, "distance", max), "at most", NEAR, "{:.1e}"),
        (
            "pre-training, share of the bf16 peak",
            _best(rows.get("pretrain", []), "share_of_peak", max),
            "at least",
            0.35,
            "{:.3f}",
        ),
        ("one person in 50 steps, seconds", _best(rows.get("finetune", []), "seconds", max), "at most", 30, "{:.1f}"),
        ("base, seconds an image, best batch", _best(base, "seconds_per_image", min), "at most", 0.6, "{:.3f}"),
        ("base, seconds an image, batch 1", _best(single, "seconds_per_image", min), "at most", 0.6, "{:.3f}"),
    ]
    return Table([_goal(*each) for each in wanted], ["the goals of speed are for one H100"])


def _goal(what: str, found: float | None, how: str, bound: float, form: str) -> Found:
    reached = None if found is None else found <= bound if how == "at most" else found >= bound
    word = {None: "not measured", True: "yes", False: "NO"}[reached]
    return {
        "what": what,
        "found": None if found is None else form.format(found),
        "wanted": f"{how} {bound:g}",
        "reached": word,
    }


def drawn(parts: Mapping[str, Found]) -> list[Found]:
    """Panels for the picture: images/s of every training, seconds an image of every sampling."""
    training = [
        (
            f"{row['inputs']}, batch {row['batch']}{', checkpointing' if row['checkpointing'] == 'yes' else ''}",
            row["images_per_second"],
        )
        for row in parts.get("pretrain", {}).get("rows", [])
    ]
    drawing = [
        (f"{row['sampler']}, batch {row['batch']}{SAMPLED[name]}", row["seconds_per_image"])
        for name in SAMPLED
        for row in parts.get(name, {}).get("rows", [])
    ]
    panels = [
        {"title": "pre-training", "unit": "images a second", "bars": training},
        {"title": "sampling", "unit": "seconds an image", "bars": drawing},
    ]
    return [panel for panel in panels if panel["bars"]]
