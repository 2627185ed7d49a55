"""All gates of the embedded world, 0 to 9: what makes it a world rather than a toy, on validation people alone.

None of them compares the full method with an ablation.
"""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from src.metrics.identity import Identity
from src.metrics.text_similarity import TextSimilarity
from src.models.base import TextToImage
from src.tiny_world.base_sampling import PROMPT
from src.tiny_world.gates.autoencoder import vae_gates
from src.tiny_world.gates.captions import style_gates, text_gates
from src.tiny_world.gates.finetuning import finetuning_gate, path_gate
from src.tiny_world.gates.gate import Gate
from src.tiny_world.gates.identity import identity_gate, names_gate
from src.tiny_world.gates.judges import judges_gates
from src.tiny_world.gates.promptnet_gap import promptnet_gates
from src.tiny_world.gates.words import JOINT, WORDS, drowning_gate, gamma_gate, optimise_token
from src.tiny_world.photos import reference
from src.tiny_world.renderer.people import SPLITS

VALIDATION = SPLITS["validation"]
LEARNED = VALIDATION[8000:8003]  # of whom a token is optimised (gates 4 to 6)
DRAWN = VALIDATION[9000:9064]  # of whom a picture is made (gates 0 and 7)
TUNED = VALIDATION[9500:9506]  # on whom the base is fine-tuned (gates 5 and 8)
WALKED = TUNED[:3]  # along the path of whose fine-tunings words are listened to (gate 5, second row)
# (learning rate, steps) -> on how many of them the base is fine-tuned so, beside what is configured (gate 8)
GRID: Mapping[tuple[float, int], int] = {(lr, steps): 1 for lr in (1e-4, 3e-4, 1e-3) for steps in (25, 100)}


@dataclass(frozen=True)
class World:
    """What is measured, built; None: what no wanted gate needs.

    promptnet: a PromptNet. names: Names, those of the base's training.
    finetune: a dataclass with `lr` and `steps`, called with (base, promptnet, photo [1, 3, H, W]), that leaves these
        alone and returns what has a `base` and a `promptnet` which know the photo.
    """

    base: TextToImage
    text: Sequence[TextSimilarity]
    identity: Sequence[Identity]
    promptnet: Any = None
    finetune: Any = None
    names: Any = None

    @cached_property
    def tokens(self) -> tuple[Tensor, Tensor]:
        """Reference photos [P, 3, 64, 64] that show nothing of what gates 4 and 5 say, and their tokens [P, 1, D]."""
        prompts = [*JOINT, *(f"{PROMPT} {words}" for words in WORDS)]
        photos = torch.cat([reference(person, prompts) for person in LEARNED]).to(self.base.device)
        return photos, torch.cat([optimise_token(self.base, p[None], seed=i) for i, p in enumerate(photos)])


_GATES: Mapping[int, Callable[[World], list[Gate]]] = {
    0: lambda w: [names_gate(w.base, w.names, w.identity, people=DRAWN)],
    1: lambda w: vae_gates(w.base),
    2: lambda w: judges_gates(w.base, w.text, w.identity),
    3: lambda w: text_gates(w.base, w.text),
    4: lambda w: [gamma_gate(w.base, *w.tokens)],
    5: lambda w: [
        drowning_gate(w.base, *w.tokens),
        path_gate(w.base, w.promptnet, w.identity, w.finetune, people=WALKED),
    ],
    6: lambda w: promptnet_gates(w.base, w.promptnet, *w.tokens),
    7: lambda w: [identity_gate(w.base, w.promptnet, w.identity, people=DRAWN)],
    8: lambda w: [finetuning_gate(w.base, w.promptnet, w.identity, w.finetune, people=TUNED, grid=GRID)],
    9: lambda w: style_gates(w.base, w.text, w.identity[0]),
}
NUMBERS = tuple(_GATES)
# gate -> what of a world it needs beside base and judges
_NEEDS = {
    0: ("names",),
    5: ("promptnet", "finetune"),
    6: ("promptnet",),
    7: ("promptnet",),
    8: ("promptnet", "finetune"),
}
_REMEDIES = {
    "names": "the names of the base's training: run stage=base and stage=export first",
    "promptnet": "a PromptNet: run stage=promptnet first",
    "finetune": "a way of fine-tuning: choose method=profusion",
}


def run_gates(world: World, only: Collection[int] = NUMBERS, *, echo: Callable[[str], None] = print) -> list[Gate]:
    """Measure the gates, or `only` some of them, in order; `echo` is told of each as it is done.

    Raises:
        ValueError: there is no such gate, a gate lacks what it measures, or a model's output is not finite.
        FileNotFoundError: a judge is missing.
    """
    for number in only:
        if number not in _GATES:
            raise ValueError(f"there is no gate {number}: choose from 0 to {max(_GATES)}")
        for lacking in [name for name in _NEEDS.get(number, ()) if getattr(world, name) is None]:
            raise ValueError(f"gate {number} needs {_REMEDIES[lacking]}")
    rows: list[Gate] = []
    for number in sorted(only):
        started = time.monotonic()
        measured = _GATES[number](world)
        verdict = ", ".join(f"{row.name} {row.value:.3f} ({'held' if row.held else 'missed'})" for row in measured)
        echo(f"gate {number} in {time.monotonic() - started:.0f} s: {verdict}")
        rows += measured
    return rows
