"""What an interval says about a claim that was written down before the run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from src.statistics.differences import Difference, normalised, paired_difference
from src.statistics.tables import CEILING, FLOORS, Row
from src.statistics.verdicts import ENOUGH

SUPPORTED, NOT_SUPPORTED, UNDECIDED = "supported", "not supported", "undecided"


@dataclass(frozen=True)
class Finding:
    """One comparison of a claim: better - worse in normalised units, and what it says.

    kind: "text" or "identity". margin: what may be lost; 0 asks for more, .05 for no loss of 5 % of floor to ceiling.
    """

    better: str
    worse: str
    kind: str
    margin: float
    difference: Difference
    verdict: str


def finding(
    sides: Mapping[str, Sequence[Row]],
    anchors: Mapping[str, Sequence[Row]],
    *,
    better: str,
    worse: str,
    kind: str,
    margin: float,
) -> Finding:
    """The mean over all judges of a kind, normalised between floor and ceiling, paired over people, prompts, seeds.

    sides: name -> rows of scores.csv; anchors: rows of the floors and the ceiling (keys of `tables.FLOORS`).
    ValueError for a negative margin, an unknown kind or side, or sides that do not pair up.
    """
    if margin < 0:
        raise ValueError(f"margin ({margin}) of {better} over {worse} must be 0 or more")
    for name, known in ((kind, FLOORS), (better, sides), (worse, sides)):
        if name not in known:
            raise ValueError(f"{name!r} is unknown: choose one of {', '.join(known)}")
    judges = [column for column in sides[better][0] if column.startswith(f"{kind}/")]
    a, b = (normalised(sides[name], anchors[FLOORS[kind]], anchors[CEILING], judges) for name in (better, worse))
    difference = paired_difference(a, b, "normalised")
    return Finding(better, worse, kind, margin, difference, verdict_of(difference, margin))


def verdict_of(difference: Difference, margin: float = 0.0) -> str:
    """Supported: the t-interval lies above -margin; not supported: below it; undecided: neither, or too few people."""
    if difference.people < ENOUGH:
        return UNDECIDED
    if difference.low > -margin:
        return SUPPORTED
    return NOT_SUPPORTED if difference.high < -margin else UNDECIDED


def together(findings: Sequence[Finding]) -> str:
    """A claim is supported if all of its findings are, and not supported as soon as one is not."""
    verdicts = {finding.verdict for finding in findings}
    if verdicts == {SUPPORTED}:
        return SUPPORTED
    return NOT_SUPPORTED if NOT_SUPPORTED in verdicts else UNDECIDED
