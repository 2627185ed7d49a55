"""Every claim of the paper with a verdict: `python -m src.claims`."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from src.harness.build import plain
from src.harness.claim import asked, decisive, pretrained, pretraining, with_promptnet
from src.harness.command import DRAWN, command
from src.harness.composed import Composed
from src.harness.deciding import CLAIM, code_of, portable
from src.harness.device import begun
from src.harness.judges import towers
from src.harness.needs import check, check_needs, needs_of, table
from src.reports import formats
from src.reports.claim_pages import Evidence, write_pages
from src.reports.claims import STALE, Result, has_turned, is_stale, read_result, verdict_table
from src.runs import provenance
from src.runs.digests import digest
from src.statistics.finding import finding


@command("claims", keeps=DRAWN)
def main(cfg: DictConfig) -> None:
    begun(cfg)
    if cfg.preflight_only:
        return show_claims_needs(cfg)
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


def show_claims_needs(cfg: DictConfig) -> None:
    """What the sides of each claim need."""
    for name, claim in chosen(cfg).items():
        for number, side in enumerate(asked(cfg, claim)[1].values()):
            needs = needs_of(side, "ablate")
            print(f"{name}\n{table(needs)}" if number == 0 else "", end="\n" if number == 0 else "", flush=True)
            check(side, needs)


def chosen(cfg: DictConfig) -> dict[str, Any]:
    """The claims that `only` names, or all. ValueError for an unknown one."""
    claims = plain(cfg.claim)
    names = list(claims) if cfg.only is None else plain(cfg.only)
    names = [names] if isinstance(names, str) else names
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
    sides = {name: {**decisive(config), **pretraining(cfg, claim["sides"][name])} for name, config in configs.items()}
    return Result(
        claim=claim["claim"],
        weights=digest({}, weights=Composed(first).weights, code="") if first else "",
        code=code_of(CLAIM),
        commit=provenance.commit()["commit"],
        finished=provenance.now(),
        machine=provenance.machine(),
        settings=[*settings, *(f"{name}: {', '.join(own)}" for name, own in claim["sides"].items())],
        asked=digest(portable({"settings": settings, "sides": sides, "claim": claim}), weights={}, code=""),
    )


def tested(cfg: DictConfig, claim: Mapping[str, Any]) -> tuple[Result, Evidence]:
    """All sides of a claim under the same people, prompts and noise, what its tests find, and the runs behind it."""
    _, configs = asked(cfg, claim)
    for config in configs.values():
        check_needs(config, "ablate")
    trainings = {name: pretrained(cfg, claim["sides"][name]) for name in configs}
    configs = {name: with_promptnet(config, trainings[name]) for name, config in configs.items()}
    composed = {name: Composed(config) for name, config in configs.items()}
    first = next(iter(composed.values()))
    first.check(*configs.values())
    sides = {name: composed[name].method_side(composed[name].study(), "claim", c) for name, c in configs.items()}
    anchors = first.anchors(first.study())
    rows, between = ({name: rows for name, (_, rows) in runs.items()} for runs in (sides, anchors))
    made, given = ({name: run for name, (run, _) in runs.items()} for runs in (sides, anchors))
    every = [*made.values(), *given.values(), *(run for runs in trainings.values() for run in runs)]
    result = replace(
        identity(cfg, claim),
        findings=[finding(rows, between, **test) for test in claim["tests"]],
        seconds=round(sum({run.folder: run.summary()["wall_seconds"] for run in every}.values())),
    )
    marks = {"selecting": plain(first.cfg.judges.selecting), "towers": towers(first.cfg)}
    return result, Evidence(made, given, claim.get("shown", list(made)), **marks)


def shown(stored: Result | None, now: Result) -> Result:
    """The stored result, or one without findings that says why it has no verdict."""
    if stored is None or not stored.findings:
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
