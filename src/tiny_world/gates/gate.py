"""A gate of the embedded world: a measured number, its bound, and whether it holds."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

# what would reach a gate that is missed; printed below the table
REMEDIES = {
    0: "train the base longer (stage=base) on more people; names are learned after places and styles",
    1: "train the autoencoder longer (stage=vae), with more weight on eyes and marks, or with more channels at its "
    "full-resolution level",
    2: "train the judges longer, with blur as strong as the autoencoder's",
    3: "train the base longer (stage=base); colours and small things are learned last",
    4: "train the base longer on captions whose end token and pads are hidden; until then gamma at the position is "
    "weak in this world, and `blend=interpolate` is the gamma that works",
    5: "fine-tune at a higher rate, or for longer",
    6: "train PromptNet longer (stage=promptnet), more often at the noise of the upper two thirds",
    7: "train PromptNet longer (stage=promptnet), on an image encoder that tells people apart (stage=vision)",
    9: "train the base longer, and show the style more often",
    8: "choose the learning rate and the steps of fine-tuning on the curves in this gate's details",
}


@dataclass(frozen=True)
class Gate:
    """One row: `value` against `bound` (at least it, or at most; None: it is told, and nothing is asked of it).

    details: plain data, all sub-numbers.
    """

    number: int
    name: str
    value: float
    bound: float | None
    at_least: bool
    held: bool
    details: dict[str, Any]


def gate(
    number: int, name: str, value: float, bound: float | None, details: dict[str, Any], *, at_least: bool = True
) -> Gate:
    """A gate, judged: the bound itself still holds. ValueError if the value is not finite: nothing was measured."""
    if not math.isfinite(value):
        raise ValueError(f"gate {number} ({name}) measured {value}: a model's output is not finite")
    held = bound is None or (value >= bound if at_least else value <= bound)
    return Gate(number, name, float(value), None if bound is None else float(bound), at_least, bool(held), details)


def print_gates(gates: Sequence[Gate]) -> str:
    """The table of the gates, how many are held, and for each one that is missed what would reach it."""
    width = max([len(row.name) for row in gates], default=4)
    lines = [f"gate  {'what':<{width}}    value    bound"]
    for row in gates:
        sign, verdict = "≥" if row.at_least else "≤", "held" if row.held else "MISSED"
        asked = f"{'':7}  told" if row.bound is None else f"{sign} {row.bound:.3f}  {verdict}"
        lines.append(f"{row.number:>4}  {row.name:<{width}}  {row.value:7.3f}  {asked}")
    bounded = [row for row in gates if row.bound is not None]
    lines.append(f"{sum(row.held for row in bounded)} of {len(bounded)} are held.")
    missed = sorted({row.number for row in gates if not row.held})
    return "\n".join(lines + [f"What would reach gate {number}: {REMEDIES[number]}." for number in missed]) + "\n"
