"""A claim's result as a file: what was found, by which code and weights; and the table of all verdicts."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from src.files.whole import read_json
from src.reports.formats import ENDS
from src.runs.store import write_json
from src.statistics.finding import Finding
from src.statistics.interval import Interval
from src.statistics.table import Table
from src.statistics.verdict import NOT_SUPPORTED, SUPPORTED, together

NOT_TESTED = "not tested yet"
STALE = "stale (other code, weights or settings): run it again"


@dataclass(frozen=True)
class Result:
    """What a claim's tests found. weights, code: digests; commit: of the code, None outside a clone; machine: what it
    ran on; seconds: the wall time of its runs, those it shares with others included; settings: their limits; asked: a
    digest of all that was asked, every setting of every side and the tests; untested: what stands for a verdict without
    findings."""

    claim: str
    findings: Sequence[Finding] = ()
    weights: str = ""
    code: str = ""
    commit: str | None = None
    finished: str = ""
    machine: str = ""
    seconds: int = 0
    settings: Sequence[str] = ()
    asked: str = ""
    untested: str = NOT_TESTED

    @property
    def verdict(self) -> str:
        return together([finding.verdict for finding in self.findings]) if self.findings else self.untested


def write_result(path: Path, result: Result) -> None:
    """JSON, atomically; the verdict is in it for whoever reads it without us."""
    write_json(path, {"verdict": result.verdict, **asdict(result)})


def read_result(path: Path) -> Result | None:
    """What `write_result` wrote; None if nothing is stored there. ValueError if it cannot be read."""
    if not path.exists():
        return None
    remedy = "restore it, or delete it and set record=true"
    stored = read_json(path, remedy)
    try:
        findings = [Finding(**{**f, "difference": Interval(**f["difference"])}) for f in stored.pop("findings")]
        return Result(**{name: value for name, value in stored.items() if name != "verdict"}, findings=findings)
    except (KeyError, TypeError, AttributeError) as error:  # names that are missing or foreign, or no names at all
        raise ValueError(f"{path} is damaged, it holds no result of a claim ({error}): {remedy}") from error


def is_stale(stored: Result, now: Result) -> bool:
    """It comes from other code, weights or settings: no verdict any more."""
    return any(getattr(stored, name) != getattr(now, name) for name in ("weights", "code", "asked"))


def has_turned(stored: Result, now: Result) -> bool:
    """From supported to not supported, or back, with nothing else changed."""
    return not is_stale(stored, now) and {stored.verdict, now.verdict} == {SUPPORTED, NOT_SUPPORTED}


def verdict_table(results: Mapping[str, Result]) -> Table:
    """One row for each finding, headed by its claim's verdict."""
    lines = [row for name, result in results.items() for row in _rows(name, result)]
    rows = [{name: row.get(name) for name in max(lines, key=len, default={})} for row in lines]
    notes = [
        f"{name}, {f.kind}: {f.difference.left_out} of {f.difference.pairs + f.difference.left_out} pairs of "
        f"{f.better} and {f.worse} have no score and are left out"
        for name, result in results.items()
        for f in result.findings
        if f.difference.left_out
    ]
    notes += ["differences in units from floor (0) to ceiling (1), mean over judges; 95 %: t-interval on person means,"]
    notes += ["then the cluster bootstrap over people and prompts; a test asks for more than -margin"]
    if any(f.worth is not None for result in results.values() for f in result.findings):
        notes += ["worth: an interval below it speaks against the claim, since a gain so small is not worth having"]
    return Table(rows, notes)


def _rows(name: str, result: Result) -> list[dict[str, Any]]:
    head = {"family": f"{name}: {result.verdict}"}
    return [{**head, **_row(finding)} for finding in result.findings] or [{**head, "test": "none yet"}]


def _row(finding: Finding) -> dict[str, Any]:
    worth = "" if finding.worth is None else f", worth {finding.worth:g}"
    test = f"{finding.kind}: {finding.better} - {finding.worse} > {-finding.margin or 0:g}{worth}"
    numbers = {name: getattr(finding.difference, name) for name in (*ENDS, "people", "prompts", "seeds")}
    return {"test": test, "difference": finding.difference.mean, **numbers, "finding": finding.verdict}


def shown(stored: Result | None, now: Result) -> Result:
    """The stored result, or one without findings that says why it has no verdict."""
    if stored is None or not stored.findings:
        return now
    return replace(now, untested=STALE) if is_stale(stored, now) else stored


def compared(stored: Result | None, now: Result) -> str:
    """What the stored result adds to the verdict of today."""
    if stored is not None and is_stale(stored, now):
        return " (the stored result is stale: other code, weights or settings)"
    return "" if stored is None or stored.verdict == now.verdict else f" (stored: {stored.verdict})"
