"""What a judge is: pictures and prompts become vectors, and two vectors become a score."""

from collections.abc import Sequence
from typing import Protocol, TypedDict

from torch import Tensor


class Judge(Protocol):
    """A judge of identity or of image similarity. Its nets are read when it is first asked.

    name: its column is KIND/NAME. licence: of its weights. It may have `about`, by what faces are found and how they
    are aligned, and `lacking()`, the files that it will fetch.
    """

    name: str
    licence: str

    def at_hand(self) -> bool:
        """Whether the weights are on this machine; else they are fetched when the judge is first asked."""

    def release(self) -> None:
        """Let go of the nets; they are read again when they are needed."""

    def see(self, pictures: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Pictures uint8 [3, H, W] of any sizes -> vectors [N, D], nan where an identity judge finds no face; faces
        found [N], one each where none is looked for."""

    def compare(self, a: Tensor, b: Tensor) -> Tensor:
        """Vectors [..., D] -> scores [...], the same for equal images."""


class TextJudge(Judge, Protocol):
    """A judge of text. It may have `too_long(prompts)`, too: those of the prompts whose ends it would not read."""

    def say(self, prompts: Sequence[str]) -> Tensor:
        """P prompts -> vectors [P, D]."""


class Judges(TypedDict, total=False):
    """The judges of each kind, under names that differ across kinds."""

    text: Sequence[TextJudge]
    identity: Sequence[Judge]
    image: Sequence[Judge]


def each(judges: Judges) -> list[Judge]:
    """All judges; those of identity first, which may refuse a reference photo."""
    return [*judges.get("identity", ()), *judges.get("text", ()), *judges.get("image", ())]
