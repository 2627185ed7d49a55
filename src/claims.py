"""Every claim of the paper with a verdict: `python -m src.claims`."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from src.entry import PACKAGE, command, compose, count, plain, portable
from src.preflight import check_needs
from src.regularisation import regularised
from src.results import formats, provenance
from src.results.claim_pages import Evidence, write_pages
from src.results.claims import STALE, Result, has_turned, is_stale, read_result, verdict_table
from src.results.digests import code_digest, digest
from src.results.findings import finding
from src.studies import SIDE, Composed, changed

PENALTY = "learning.penalty="  # a side's override that speaks of pre-training
JUDGED = (*SIDE, "results/differences.py", "results/findings.py")  # whose code decides a verdict


@command("claims")
def main(cfg: DictConfig) -> None:
    check_needs(cfg, "ablate")
    results: dict[str, Result] = {}
    turned = []
    for name, claim in chosen(cfg).items():
        stored = read_result(Path(cfg.experiments) / name / f"{cfg.name}.json")
        if cfg.show:
            results[name] = shown(stored, identity(cfg, claim))
            continue
        results[name], evidence = tested(cfg, claim) if claim["tests"] else (Result(claim["claim"]), None)
        turned += [name] if stored and has_turned(stored, results[name]) else []
        print(f"{name}: {results[name].verdict}{_then(stored, results[name])}", flush=True)
        if cfg.record:
            write_pages(Path(cfg.experiments) / name, cfg.name, results[name], evidence)
    print(f"\n{formats.to_text(verdict_table(results))}", flush=True)
    if turned and not cfg.record:
        raise ValueError(f"the verdict on {', '.join(turned)} has turned, with code and weights as they were")


def chosen(cfg: DictConfig) -> dict[str, Any]:
    """The claims that `only` names, or all. ValueError for an unknown one."""
    claims = plain(cfg.claim)
    names = list(claims) if cfg.only is None else plain(cfg.only)
    if not names:
        raise ValueError(f"only ([]) names no claim: choose from {', '.join(claims)}")
    for name in names:
        if name not in claims:
            raise ValueError(f"only ({name}) is no claim: choose from {', '.join(claims)}")
    return {name: claims[name] for name in names}


def identity(cfg: DictConfig, claim: Mapping[str, Any]) -> Result:
    """The claim as it would be tested now, without findings: by it a stored result is found to be stale."""
    settings, configs = asked(cfg, claim)
    first = next(iter(configs.values()), None)
    own = ("method", "sampler", "augmentation", "base", "promptnet", "judges", "people_set", "prompt_set")
    sides = {name: {part: plain(config[part]) for part in own} for name, config in configs.items()}
    return Result(
        claim=claim["claim"],
        weights=digest({}, weights=Composed(first).weights, code="") if first else "",
        code=code_digest(PACKAGE, JUDGED),
        commit=provenance.commit()["commit"],
        finished=provenance.now(),
        machine=provenance.machine(),
        settings=[*settings, *(f"{name}: {', '.join(own)}" for name, own in claim["sides"].items())],
        asked=digest(portable({"settings": settings, "sides": sides, "claim": claim}), weights={}, code=""),
    )


def tested(cfg: DictConfig, claim: Mapping[str, Any]) -> tuple[Result, Evidence]:
    """All sides of a claim under the same people, prompts and noise, what its tests find, and the runs behind it."""
    _, configs = asked(cfg, claim)
    configs = {name: with_promptnet(cfg, config, claim["sides"][name]) for name, config in configs.items()}
    composed = {name: Composed(config) for name, config in configs.items()}
    first = next(iter(composed.values()))
    first.check(*configs.values())
    sides = {name: composed[name].method_side(composed[name].study(), "claim", c) for name, c in configs.items()}
    anchors = first.anchors(first.study())
    rows, between = ({name: rows for name, (_, rows) in runs.items()} for runs in (sides, anchors))
    result = replace(
        identity(cfg, claim),
        findings=[finding(rows, between, **test) for test in claim["tests"]],
        seconds=round(sum(run.summary()["wall_seconds"] for run, _ in [*sides.values(), *anchors.values()])),
    )
    made, given = ({name: run for name, (run, _) in runs.items()} for runs in (sides, anchors))
    return result, Evidence(made, given, claim.get("shown", list(made)))


def asked(cfg: DictConfig, claim: Mapping[str, Any]) -> tuple[list[str], dict[str, DictConfig]]:
    """What all sides have in common, and the configuration of each."""
    settings = [*plain(cfg.overrides), *(f"{name}={count(cfg, name)}" for name in ("people", "prompts", "seeds"))]
    common = [*settings, f"runs={cfg.runs}", "logger=disabled"]
    return settings, {name: side(common, own) for name, own in claim["sides"].items()}


def side(common: Sequence[str], own: Sequence[str]) -> DictConfig:
    """What `python -m src.ablate` would hold against the full method with these overrides."""
    cfg = compose("ablate", [*common, *(override for override in own if not override.startswith(PENALTY))])
    return changed(cfg, cfg.ablation.change)


def with_promptnet(cfg: DictConfig, side: DictConfig, own: Sequence[str]) -> DictConfig:
    """The side, with a PromptNet that was pre-trained further under its penalty if it names one (trained now, once)."""
    penalties = [float(override.removeprefix(PENALTY)) for override in own if override.startswith(PENALTY)]
    if not penalties:
        return side
    study = compose("regularisation", [f"runs={cfg.runs}"])
    return changed(side, {"promptnet.folder": str(regularised(study, penalties[-1]).path("promptnet"))})


def shown(stored: Result | None, now: Result) -> Result:
    """The stored result, or one without findings that says why it has no verdict."""
    if stored is None:
        return now
    return replace(now, untested=STALE) if is_stale(stored, now) else stored


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
