"""Every claim of the paper with a verdict: `python -m src.claims`."""

from pathlib import Path
from typing import Any

from omegaconf import DictConfig
from tqdm import tqdm

from src.harness.build import plain
from src.harness.claim import configured, crew_of, planned, tested, untested
from src.harness.command import DRAWN, command
from src.harness.device import begun
from src.harness.preflight.needs import check, needs_of, table
from src.reports import formats
from src.reports.claim_pages import Evidence, write_pages
from src.reports.claims import Result, compared, has_turned, read_result, shown, verdict_table
from src.runs.run import track


@command("claims", keeps=DRAWN)
def main(cfg: DictConfig) -> None:
    begun(cfg)
    if cfg.preflight_only:
        return show_claims_needs(cfg)
    claims = chosen(cfg) if cfg.show else testable(cfg)
    if cfg.plan:
        return print(*(f"\n{formats.to_text(table)}" for table in planned(cfg, claims) if table.rows), flush=True)
    results, turned = dict[str, Result](), list[str]()
    with crew_of(cfg, {} if cfg.show else claims) as crew:
        for name, claim in claims.items():
            stored = read_result(Path(cfg.experiments) / name / f"{cfg.name}.json")
            if cfg.show:
                results[name] = shown(stored, untested(cfg, claim))
                continue
            results[name], evidence = tested(cfg, claim, crew) if claim["tests"] else (Result(claim["claim"]), None)
            turned += [name] if stored and has_turned(stored, results[name]) else []
            tqdm.write(f"{name}: {results[name].verdict}{compared(stored, results[name])}")
            if evidence:
                show_sides(cfg, name, evidence)
            if cfg.record:
                write_pages(Path(cfg.experiments) / name, cfg.name, results[name], evidence)
    print(f"\n{formats.to_text(verdict_table(results))}", flush=True)
    if turned and not cfg.record:
        raise ValueError(f"the verdict on {', '.join(turned)} has turned, with code and weights as they were")


def show_sides(cfg: DictConfig, name: str, evidence: Evidence) -> None:
    """Print the folder of each side; sides, floors and ceilings become one group of W&B."""
    for side, run in evidence.sides.items():
        tqdm.write(f"  {side}: {run.folder}")
    for side, run in {**evidence.sides, **evidence.anchors}.items():
        track(run, f"claim-{name}-{cfg.name}", side, plain(cfg.logger), tqdm.write)


def show_claims_needs(cfg: DictConfig) -> None:
    """What the sides of each claim need."""
    for name, claim in chosen(cfg).items():
        for number, side in enumerate(configured(cfg, claim)[1].values()):
            needs = needs_of(side, "ablate")
            print(f"{name}\n{table(needs)}" if number == 0 else "", end="\n" if number == 0 else "", flush=True)
            check(side, needs)


def testable(cfg: DictConfig) -> dict[str, Any]:
    """The chosen claims whose sides have all that they need; of all claims the others are named and left out,
    FileNotFoundError for one that `only` names."""
    ready = dict(chosen(cfg))
    for name, claim in chosen(cfg).items():
        try:
            for side in configured(cfg, claim)[1].values() if claim["tests"] else ():
                check(side, needs_of(side, "ablate"))
        except FileNotFoundError as error:
            if cfg.only is not None:
                raise FileNotFoundError(f"the claim {name} cannot be tested: {error}") from error
            del ready[name]
            print(f"{name}: left out, it cannot be tested: {error}", flush=True)
    return ready


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


if __name__ == "__main__":
    main()
