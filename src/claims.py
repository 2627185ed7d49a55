"""Every claim of the paper with a verdict: `python -m src.claims`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from src.entry import PACKAGE, command, compose, count, plain
from src.preflight import check_needs
from src.results import formats, provenance
from src.results.claim_pages import Evidence, write_pages
from src.results.claims import Result, has_turned, is_stale, read_result, verdict_table
from src.results.digests import code_digest, digest
from src.results.findings import finding
from src.studies import SIDE, Composed, changed

JUDGED = (*SIDE, "results/differences.py", "results/findings.py")  # whose code decides a verdict


@command("claims")
def main(cfg: DictConfig) -> None:
    check_needs(cfg, "ablate")
    results: dict[str, Result] = {}
    turned = []
    for name, claim in chosen(cfg).items():
        results[name], evidence = tested(cfg, claim) if claim["tests"] else (Result(claim["claim"]), None)
        folder = Path(cfg.experiments) / name
        stored = read_result(folder / f"{cfg.name}.json")
        turned += [name] if stored and has_turned(stored, results[name]) else []
        print(f"{name}: {results[name].verdict}{_then(stored, results[name])}", flush=True)
        if cfg.record:
            write_pages(folder, cfg.name, results[name], evidence)
    print(f"\n{formats.to_text(verdict_table(results))}", flush=True)
    if turned and not cfg.record:
        raise ValueError(f"the verdict on {', '.join(turned)} has turned, with code and weights as they were")


def chosen(cfg: DictConfig) -> dict[str, Any]:
    """The claims that `only` names, or all. ValueError for an unknown one."""
    claims = plain(cfg.claim)
    names = list(claims) if cfg.only is None else plain(cfg.only)
    for name in names:
        if name not in claims:
            raise ValueError(f"only ({name}) is no claim: choose from {', '.join(claims)}")
    return {name: claims[name] for name in names}


def tested(cfg: DictConfig, claim: Mapping[str, Any]) -> tuple[Result, Evidence]:
    """All sides of a claim under the same people, prompts and noise, what its tests find, and the runs behind it."""
    settings = [*plain(cfg.overrides), *(f"{name}={count(cfg, name)}" for name in ("people", "prompts", "seeds"))]
    common = [*settings, f"runs={cfg.runs}", "logger=disabled"]
    configs = {name: side(common, own) for name, own in claim["sides"].items()}
    composed = Composed(next(iter(configs.values())))
    composed.check(*configs.values())
    study = composed.study()
    sides = {name: composed.method_side(study, "claim", config) for name, config in configs.items()}
    anchors = composed.anchors(study)
    rows, between = ({name: rows for name, (_, rows) in runs.items()} for runs in (sides, anchors))
    result = Result(
        claim=claim["claim"],
        findings=[finding(rows, between, **test) for test in claim["tests"]],
        weights=digest({}, weights=composed.weights, code=""),
        code=code_digest(PACKAGE, JUDGED),
        commit=provenance.commit()["commit"],
        finished=provenance.now(),
        machine=provenance.machine(),
        seconds=round(sum(run.summary()["wall_seconds"] for run, _ in [*sides.values(), *anchors.values()])),
        settings=[*settings, *(f"{name}: {', '.join(own)}" for name, own in claim["sides"].items())],
    )
    made, given = ({name: run for name, (run, _) in runs.items()} for runs in (sides, anchors))
    return result, Evidence(made, given, claim.get("shown", list(made)))


def side(common: Sequence[str], own: Sequence[str]) -> DictConfig:
    """What `python -m src.ablate` would hold against the full method with these overrides."""
    cfg = compose("ablate", [*common, *own])
    return changed(cfg, cfg.ablation.change)


def _then(stored: Result | None, now: Result) -> str:
    """What the stored result adds to the verdict of today."""
    if stored is None or (stored.verdict == now.verdict and not is_stale(stored, now)):
        return ""
    return (
        " (the stored result is stale: other code, weights or settings)"
        if is_stale(stored, now)
        else (f" (stored: {stored.verdict})")
    )


if __name__ == "__main__":
    main()
