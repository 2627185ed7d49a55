"""What `src.bench sample` found, as it is shown: tables, a page, the figure of quality against cost."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from src.files.whole import write_atomic
from src.reports.figures import fronts
from src.reports.formats import to_csv, to_markdown
from src.statistics.front import front
from src.statistics.table import Table
from src.statistics.verdict import few_people

Found = Mapping[str, Any]
SHOWN = ("text", "identity", "harmonic mean")  # panels of the figure
COST = "seconds an image"
CLAIMED = (("mixed", 1.2), ("base", 1.2))  # at the same steps: what Fusion Sampling is to cost at most


def on_front(rows: Sequence[Mapping[str, Any]], quality: str) -> list[int]:
    """The places of the rows that no other beats in quality or time without losing in the other; the fastest first."""
    names = front({str(place): (-row["seconds"], row[quality]) for place, row in enumerate(rows)})
    return [int(name) for name in reversed(names)]


def costs(found: Found) -> Table:
    """What an image costs under each sampler, and by how much more than *mixed* and *base* with as many steps."""
    rows = found["rows"]
    seconds = {(row["sampler"], row["steps"]): row["seconds"] for row in rows}

    def to(row: Mapping[str, Any], other: str) -> float | None:
        return row["seconds"] / seconds[other, row["steps"]] if (other, row["steps"]) in seconds else None

    shown = [
        {
            "sampler": row["name"],
            "steps": row["steps"],
            "U-Net": row["unet_evaluations"],
            "shallow": row["shallow_evaluations"],
            "PromptNet": row["promptnet_evaluations"],
            "text": row["text_evaluations"],
            "GFLOP": round(row["gflop"]),
            COST: float(row["seconds"]),
            **{f"to {name}": to(row, name) for name, _ in CLAIMED},
            "peak GiB": float(row["peak_gib"]),
        }
        for row in rows
    ]
    notes = [
        "evaluations an image: of the U-Net, those of its level of full resolution alone among them; of PromptNet; of "
        "the text encoder, where S* depends on x_t and t",
        f"seconds: median of interleaved rounds, {found['about']['images at once']} images at once; to: as a multiple "
        "of that sampler's with as many steps",
        "memory: the process's peak on a CPU, networks included",
    ]
    return Table(shown, notes)


def qualities(found: Found) -> Table:
    """Text and identity of each sampler, and what lies between it and the reference."""
    edge = on_front(found["rows"], "harmonic mean")
    shown = [
        {
            "sampler": row["name"],
            "text": row["text"],
            "text difference": (row["text low"], row["text high"]),
            "text is": row["text outcome"],
            "identity": row["identity"],
            "identity difference": (row["identity low"], row["identity high"]),
            "identity is": row["identity outcome"],
            "harmonic mean": row["harmonic mean"],
            "on the front": "yes" if place in edge else "no",
        }
        for place, row in enumerate(found["rows"])
    ]
    notes = [
        "normalised between floor and ceiling, mean over judges",
        f"difference: paired, from {found['about']['reference']}; 95 %: t-interval on person means; margin .05",
        "the front: of the harmonic mean against seconds an image",
    ]
    return Table(shown, [*notes, *few_people(found["about"]["people"])])


def released_text(found: Found) -> str:
    """One sentence on our sampler beside the released code's arithmetic."""
    pair = found["released"]
    calls = f"{pair['unet_evaluations']} of the U-Net, {pair['promptnet_evaluations']} of PromptNet"
    calls += f", {pair['text_evaluations']} of the text encoder"
    return (
        f"the released code's arithmetic ({calls} an image, one image at a time): {pair['released']:.3f} s an image, "
        f"ours {pair['ours']:.3f} s, {pair['released'] / pair['ours']:.2f} times as fast; "
        f"the pictures are apart by {pair['apart']:.1e} of 2 at most"
    )


def page(found: Found) -> str:
    """The page as markdown."""
    about = {name: value for name, value in found["about"].items() if not isinstance(value, dict)}
    return "\n".join(
        [
            "# Quality against cost of samplers",
            "",
            "Written by `python -m src.bench sample`.",
            "",
            ", ".join(f"{name} {value}" for name, value in about.items()) + ".",
            "",
            "![quality against seconds an image](sample.png)",
            "",
            "## Cost",
            "",
            to_markdown(costs(found)),
            "## Quality",
            "",
            to_markdown(qualities(found)),
            f"{released_text(found)}.",
            "",
        ]
    )


def write_pages(folder: Path, found: Found) -> None:
    """sample.md, sample.csv with all numbers, and sample.png."""
    rows = [{**row, COST: row["seconds"]} for row in found["rows"]]
    on = {name: on_front(rows, name) for name in SHOWN}
    picture = fronts(rows, x=COST, y=SHOWN, by="sampler", label="steps", on=on)
    write_atomic(folder / "sample.png", picture)
    write_atomic(folder / "sample.csv", to_csv(Table(found["rows"])).encode())
    write_atomic(folder / "sample.md", page(found).encode())
