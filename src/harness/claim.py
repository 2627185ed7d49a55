"""A claim, tested or planned: its sides, the PromptNet each starts from, and what is found under the same noise."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from omegaconf import DictConfig, OmegaConf

from src.files.rows import Rows
from src.harness.assembly import changed, longest_first
from src.harness.build import count, plain
from src.harness.compose import compose
from src.harness.deciding import CLAIM, code_of, deciding, portable
from src.harness.device import STUDY, device_of, handed_on
from src.harness.judges import towers
from src.harness.parallel.crew import Crew
from src.harness.parallel.worker import crew_for
from src.harness.preflight.people import check_sides
from src.harness.pretraining import ORDERS, regularised
from src.harness.sides import Sides
from src.reports.claim_pages import Evidence
from src.reports.claims import Result
from src.runs import provenance
from src.runs.digests import digest
from src.runs.run import Run
from src.statistics.finding import PATH, Finding, finding, path_finding
from src.statistics.planning import plan_row, spread
from src.statistics.scale import Anchors
from src.statistics.selection import ranking, selection_score
from src.statistics.table import Table

PENALTY = "learning.penalty="  # a side's override that speaks of pre-training


def configured(cfg: DictConfig, claim: Mapping[str, Any]) -> tuple[list[str], dict[str, DictConfig]]:
    """What all sides have in common, and the configuration of each."""
    sizes = [f"{name}={count(cfg, name)}" for name in ("people", "prompts", "seeds")]
    settings = [*(plain(cfg.overrides) or []), *sizes]
    common = [*settings, f"runs={cfg.runs}", "logger=disabled", *handed_on(cfg, STUDY)]
    return settings, {name: side(tuple(common), tuple(own)) for name, own in sides_of(claim).items()}


def sides_of(claim: Mapping[str, Any]) -> dict[str, list[str]]:
    """Every side with its overrides; of a claim along a path each side at each strength of learning."""
    paths = paths_of(claim)
    sides = {name: own for name, own in claim["sides"].items() if name not in paths}
    for name, strengths in paths.items():
        sides |= {at: [*claim["sides"][name], *more] for at, more in strengths.items()}
    return sides


def paths_of(claim: Mapping[str, Any]) -> dict[str, dict[str, list[str]]]:
    """Of a claim along a path: side -> "SIDE, STRENGTH" -> the overrides of that strength, light to over-fitted.

    Each entry of `strengths` names its sides, or none for all of them: methods are not learned by the same settings.
    """
    paths: dict[str, dict[str, list[str]]] = {}
    for way in claim.get("strengths") or ():
        for name in way.get("sides") or claim["sides"]:
            paths[name] = {f"{name}, {strength}": own for strength, own in way["of"].items()}
    return paths


@cache
def side(common: tuple[str, ...], own: tuple[str, ...]) -> DictConfig:
    """What `python -m src.ablate` would hold against the full method with these overrides; composed once for all
    claims, who change nothing of it."""
    cfg = compose("ablate", [*common, *(override for override in own if not override.startswith(PENALTY))])
    return changed(cfg, cfg.ablation.change)


def decisive(config: DictConfig) -> dict[str, Any]:
    """What of a side's configuration decides its images and scores."""
    own = ("method", "sampler", "augmentation", "base", "promptnet", "judges", "people_set", "prompt_set")
    shown = {name: plain(config.world[name]) for name in ("reference", "oracle", "stranger")}
    rounded = {"tf32": True} if config.tf32 else {}
    return {**{name: deciding(plain(config[name]), name) for name in own}, "world": shown, **rounded}


def pretraining_of(cfg: DictConfig, own: Sequence[str]) -> dict[str, Any]:
    """How the PromptNet of a side with a penalty comes about; nothing for a side without."""
    if not penalties(own):
        return {}
    study, training = compose("regularisation", [f"runs={cfg.runs}"]), compose("train", ORDERS)
    steps = {name: study[name] for name in ("early_steps", "further_steps")}
    parts = {name: deciding(plain(training[name])) for name in ("learning", "data", "trainer", "seed")}
    return {"pretraining": steps | parts}


def penalties(own: Sequence[str]) -> list[float]:
    """The lambda that a side's overrides name, if they do."""
    return [float(override.removeprefix(PENALTY)) for override in own if override.startswith(PENALTY)]


def pretrainings(cfg: DictConfig, own: Sequence[str]) -> list[Run]:
    """The trainings, now or before, of a PromptNet under a side's penalty; none for a side without one."""
    study = compose("regularisation", [f"runs={cfg.runs}", *handed_on(cfg)])
    return [run for penalty in penalties(own)[-1:] for run in regularised(study, penalty)]


def untested(cfg: DictConfig, claim: Mapping[str, Any]) -> Result:
    """The claim as it would be tested now, without findings: by it a stored result is found to be stale."""
    settings, configs = configured(cfg, claim)
    weights = {name: Sides(config).weights for name, config in configs.items()}
    sides = {
        name: {**decisive(config), **pretraining_of(cfg, sides_of(claim)[name])} for name, config in configs.items()
    }
    return Result(
        claim=claim["claim"],
        weights=digest({"sides": weights}, weights={}, code="") if weights else "",
        code=code_of(CLAIM, *(plain(config.method) for config in configs.values())),
        commit=provenance.commit()["commit"],
        finished=provenance.now(),
        machine=provenance.machine(),
        settings=[*settings, *(f"{name}: {', '.join(own)}" for name, own in sides_of(claim).items())],
        asked=digest(portable({"settings": settings, "sides": sides, "claim": claim}), weights={}, code=""),
    )


def found(claim: Mapping[str, Any], rows: Mapping[str, Rows], anchors: Anchors, test: Mapping[str, Any]) -> Finding:
    """What one test finds: between two sides, or between the paths of two."""
    if test["kind"] != PATH:
        return finding(rows, anchors, **test)
    return path_finding(along(claim, rows), anchors, **test)


def along(claim: Mapping[str, Any], rows: Mapping[str, Rows]) -> dict[str, list[Rows]]:
    """The rows of each side that has a path of learning, light to over-fitted."""
    return {name: [rows[at] for at in strengths] for name, strengths in paths_of(claim).items()}


def crew_of(cfg: DictConfig, claims: Mapping[str, Any]) -> Crew:
    """The workers of all claims, who know what is to be made. ValueError for more workers than people."""
    every = [list(longest_first(configured(cfg, claim)[1]).values()) for claim in claims.values() if claim["tests"]]
    crew = crew_for(every[0][0]) if every else Crew()
    for sides in every:
        Sides(sides[0], crew).expect(*(("claim", side) for side in sides))
    return crew


@dataclass(frozen=True)
class Measured:
    """A claim's sides and anchors, drawn and judged: their runs and rows by name, and the trainings behind them."""

    first: Sides
    made: Mapping[str, Run]
    given: Mapping[str, Run]
    rows: Mapping[str, Rows]
    anchors: Anchors
    trainings: Sequence[Run]


def measured(cfg: DictConfig, claim: Mapping[str, Any], crew: Crew) -> Measured:
    """All sides of a claim under the same people, prompts and noise."""
    _, configs = configured(cfg, claim)
    check_sides(list(configs.items()), "ablate", device_of(cfg.device))
    trainings = {name: pretrainings(cfg, sides_of(claim)[name]) for name in configs}
    folders = {name: str(runs[-1].path("promptnet")) for name, runs in trainings.items() if runs}
    configs |= {name: changed(configs[name], {"promptnet.folder": folder}) for name, folder in folders.items()}
    studies = {name: Sides(config, crew) for name, config in configs.items()}
    first = next(iter(studies.values()))
    first.check(*configs.values())
    order = longest_first(configs).items()
    drawn = {name: studies[name].method_side(studies[name].study(), "claim", config) for name, config in order}
    sides = {name: drawn[name] for name in configs}
    anchors = first.anchors(first.study())
    rows, between = ({name: rows for name, (_, rows) in runs.items()} for runs in (sides, anchors))
    made, given = ({name: run for name, (run, _) in runs.items()} for runs in (sides, anchors))
    return Measured(first, made, given, rows, between, [run for runs in trainings.values() for run in runs])


def tested(cfg: DictConfig, claim: Mapping[str, Any], crew: Crew) -> tuple[Result, Evidence]:
    """What a claim's tests find, and the runs behind it."""
    of = measured(cfg, claim, crew)
    every = [*of.made.values(), *of.given.values(), *of.trainings]
    result = replace(
        untested(cfg, claim),
        findings=[found(claim, of.rows, of.anchors, test) for test in claim["tests"]],
        seconds=round(sum({run.folder: run.summary()["wall_seconds"] for run in every}.values())),
    )
    marks = {"selecting": plain(of.first.cfg.judges.selecting), "towers": towers(of.first.cfg)}
    paths = {name: list(strengths) for name, strengths in paths_of(claim).items()}
    return result, Evidence(of.made, of.given, claim.get("shown", list(of.made)), paths=paths, **marks)


def on_validation(cfg: DictConfig) -> DictConfig:
    """The same configuration on the people and prompts that everything is chosen on: `planning` of conf/claims.yaml.

    No person or prompt of a claim itself is looked at.
    """
    planning = plain(cfg.planning)
    overrides = [*(plain(cfg.overrides) or []), *planning.pop("overrides")]
    kept = [each for each in overrides if not each.startswith("people_set.split=")]
    return OmegaConf.merge(cfg, {**planning, "overrides": kept})  # type: ignore[return-value]


def planned(cfg: DictConfig, claims: Mapping[str, Any]) -> tuple[Table, Table]:
    """Of each test the spread of people and prompts, the half-width that the claim's sizes will have, and how many
    people would make it narrow enough; of each path of learning what every strength reaches, and the best of them."""
    wanted = [count(cfg, name) for name in ("people", "prompts", "seeds")]
    first = on_validation(cfg)
    widths, strengths = [], []
    with crew_of(first, claims) as crew:
        for name, claim in claims.items():
            of = measured(first, claim, crew) if claim["tests"] else None
            for test in claim["tests"]:
                found = spread(of.rows, along(claim, of.rows), of.anchors, test)  # type: ignore[union-attr]
                what = f"{test['kind']}: {test['better']} - {test['worse']}"
                widths.append({"family": name, "test": what, **plan_row(found, *wanted)})
            strengths += [{"family": name, **row} for row in strength_rows(claim, of)] if of else []
    sizes = "{} people, {} prompts, {} seeds".format(*wanted)
    seen = f"{count(first, 'people')} validation people, {count(first, 'prompts')} prompts"
    notes = [f"in units from floor to ceiling, from {seen}; half-width: of the 95 % interval of {sizes}"]
    notes += ["people: the fewest for a half-width of .05, also with twice the prompts or seeds; 16 in any case"]
    best = f"with the selecting judges, from {seen}; best: of the side's own strengths"
    return Table(widths, notes), Table(strengths, [best])


def strength_rows(claim: Mapping[str, Any], of: Measured) -> list[dict[str, Any]]:
    """Text, identity and their harmonic mean of each strength of each path, by the rule of every choice of settings."""
    selecting, rows = plain(of.first.cfg.judges.selecting), []
    for sides in paths_of(claim).values():
        scores = {side: selection_score(of.rows[side], of.anchors, selecting) for side in sides}
        best = ranking(scores)[0]["settings"]
        rows += [{"side": side, **own, "best": "yes" if side == best else "no"} for side, own in scores.items()]
    return rows
