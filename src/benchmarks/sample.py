"""Quality against cost of samplers on the same people, prompts and seeds: `python -m src.bench sample`."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from src.benchmarks import front
from src.benchmarks.cost import against_released, counted, timed
from src.files.whole import write_atomic
from src.harness.assembly import changed
from src.harness.build import build, count, plain
from src.harness.command import DRAWN
from src.harness.compose import compose
from src.harness.device import STUDY, begun, described, handed_on
from src.harness.parallel.worker import crew_for
from src.harness.preflight.needs import check, needs_of, show
from src.harness.sides import Sides
from src.methods.drawing import Person
from src.reports.formats import to_text
from src.runs import provenance
from src.statistics.finding import finding
from src.statistics.levels import level
from src.statistics.scale import FLOORS, harmonic_mean
from src.statistics.verdict import MARGIN, outcome

KEEPS = DRAWN  # when it is stopped


def run(cfg: DictConfig) -> None:
    begun(cfg)
    configs = sides_of(cfg)
    for config in configs.values():
        (show if cfg.preflight_only else check)(config, needs_of(config, "ablate"))
    if cfg.preflight_only:
        return
    crew = crew_for(configs[cfg.reference])
    sides = Sides(configs[cfg.reference], crew)
    sides.check(*configs.values())
    sides.expect(*(("samplers", config) for config in configs.values()))
    with crew:
        quality = qualities(cfg, sides, configs)
    cost, released = costs(cfg, sides, configs)
    rows = [{**named(name, configs[name]), **cost[name], **quality[name]} for name in configs]
    about: dict[str, Any] = {
        "device": described(sides.device),
        "machine": provenance.machine(),
        "date": provenance.now(),
    }
    about |= {"commit": provenance.commit()["commit"], "reference": cfg.reference, "images at once": cfg.timed}
    about |= {"people": len(sides.people), "prompts": len(sides.prompts), "seeds": len(sides.seeds)}
    about |= {"settings": {name: plain(cfg[name]) for name in ("samplers", "overrides", "steps", "repeats")}}
    found = {"about": about, "rows": rows, "released": released}
    folder = Path(cfg.out)
    write_atomic(folder / "sample.json", (json.dumps(found, indent=1) + "\n").encode())
    front.write_pages(folder, found)
    print(to_text(front.costs(found)))
    print(to_text(front.qualities(found)))
    print(f"{front.released_text(found)}\npage: {folder / 'sample.md'}\nfigure: {folder / 'sample.png'}", flush=True)


def sides_of(cfg: DictConfig) -> dict[str, DictConfig]:
    """Each sampler that is not null as it is, and those of `fewer` with each number of steps.

    ValueError for a reference or a name in `fewer` that is none of the samplers.
    """
    samplers = {name: own for name, own in plain(cfg.samplers).items() if own is not None}
    for setting, names in (("reference", [cfg.reference]), ("fewer", list(cfg.fewer))):
        unknown = [name for name in names if name not in samplers]
        if unknown:
            raise ValueError(f"{setting} ({unknown[0]}) must be one of samplers: {', '.join(samplers)}")
    sizes = [f"{name}={count(cfg, name)}" for name in ("people", "prompts", "seeds")]
    common = [*(plain(cfg.overrides) or []), *sizes, f"runs={cfg.runs}", "logger=disabled", *handed_on(cfg, STUDY)]
    configs = {name: compose("ablate", [*common, *own]) for name, own in samplers.items()}
    return configs | {
        f"{name}, {steps} steps": changed(configs[name], {"sampler.steps": steps})
        for name in cfg.fewer
        for steps in cfg.steps
        if steps != configs[name].sampler.steps
    }


def named(name: str, config: DictConfig) -> dict[str, Any]:
    """Which sampler it is, whatever its steps, and how many these are."""
    return {"name": name, "sampler": name.split(",")[0], "steps": config.sampler.steps}


def qualities(cfg: DictConfig, sides: Sides, configs: dict[str, DictConfig]) -> dict[str, dict[str, Any]]:
    """For each side text and identity, normalised, their harmonic mean, and paired differences from the reference."""
    study = sides.study()
    anchors = {name: rows for name, (_, rows) in sides.anchors(study).items()}
    scores = {name: sides.method_side(sides.study(), "samplers", config)[1] for name, config in configs.items()}
    found: dict[str, dict[str, Any]] = {}
    for name, rows in scores.items():
        found[name] = own = level(rows, anchors)
        own["harmonic mean"] = harmonic_mean(own["text"], own["identity"])
        for kind in FLOORS:
            pair = {"better": name, "worse": cfg.reference, "kind": kind, "margin": MARGIN}
            against = finding(scores, anchors, **pair).difference
            ends = {"difference": against.mean, "low": against.low, "high": against.high}
            own |= {f"{kind} {end}": value for end, value in ends.items()}
            own[f"{kind} outcome"] = outcome(against)
    return found


def costs(
    cfg: DictConfig, sides: Sides, configs: dict[str, DictConfig]
) -> tuple[dict[str, dict[str, Any]], dict[str, Any]]:
    """What each sampler costs on the first person, and the reference beside the released code's arithmetic.

    ValueError for a method that draws by other means than a sampler.
    """
    somebody = sides.people[0]
    person = sides.learner(configs[cfg.reference])[1](somebody)
    if not isinstance(person, Person):
        raise ValueError(f"method ({configs[cfg.reference].method['_target_']}) does not draw by a sampler")
    size, each = count(cfg, "timed"), [prompt for _, prompt in sides.prompts]
    prompts = [each[place % len(each)] for place in range(size)]
    samplers = {name: replace(build(config.sampler), batch=size) for name, config in configs.items()}
    cost = {name: counted(person, sampler, prompts[0]) for name, sampler in samplers.items()}
    seconds = timed(person, samplers, prompts, count(cfg, "repeats"))
    photos = sides.photo(somebody)
    released = against_released(person, samplers[cfg.reference], photos, prompts, count(cfg, "repeats"))
    return {name: {**cost[name], **seconds[name]} for name in configs}, released
