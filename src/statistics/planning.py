"""Before a claim is run: how wide the intervals of its tests will be, and which sizes would make them narrow enough."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from src.files.rows import Row, judge_columns
from src.statistics.finding import PATH, on_both_scales
from src.statistics.interval import person_differences
from src.statistics.path import Path, heights
from src.statistics.power import Components, components_by_halves, enough_people, half_width
from src.statistics.scale import Anchors, normalised, scales
from src.statistics.verdict import ENOUGH

WANTED = 0.05  # of floor to ceiling: the half-width of an interval that is worth running for (METHOD, section 6)


def spread(
    sides: Mapping[str, Sequence[Row]], paths: Mapping[str, Path], anchors: Anchors, test: Mapping[str, Any]
) -> Components:
    """The variances of what a test measures of one person, from the rows of a few people."""
    prompts = list(dict.fromkeys(str(row["prompt"]) for rows in sides.values() for row in rows))

    def of_people(chosen: Collection[str]) -> list[float]:
        return list(person_values(sides, paths, anchors, test, chosen).values())

    return components_by_halves(of_people, prompts)


def person_values(
    sides: Mapping[str, Sequence[Row]],
    paths: Mapping[str, Path],
    anchors: Anchors,
    test: Mapping[str, Any],
    prompts: Collection[str],
) -> dict[str, float]:
    """better - worse of each person over some of the prompts, in units from floor to ceiling."""
    if test["kind"] == PATH:
        both = [on_both_scales(paths[name], anchors) for name in (test["better"], test["worse"])]
        return heights(*([_over(rows, prompts) for rows in path] for path in both))
    measures = scales(anchors, test["kind"], judge_columns(sides[test["better"]], test["kind"]))
    a, b = (_over(normalised(sides[name], measures), prompts) for name in (test["better"], test["worse"]))
    return person_differences(a, b, "normalised")


def plan_row(found: Components, people: int, prompts: int, seeds: int) -> dict[str, Any]:
    """What a claim of these sizes will be worth: the half-width to be expected, and the people who would give WANTED.

    "if doubled": the people who would, with twice the prompts or seeds. The variance of seeds is part of that of
    prompts: more seeds are counted as if they were more prompts.
    """
    variance = found.of_person_mean(prompts * seeds, 1)
    needed = {f"people for {WANTED}": enough_people(variance, WANTED, least=ENOUGH)}
    twice = enough_people(found.of_person_mean(2 * prompts * seeds, 1), WANTED, least=ENOUGH)
    spreads = {"sd people": found.people**0.5, "sd prompts": found.prompts**0.5}
    width = {"half-width": half_width(found, people, prompts * seeds, 1)}
    return {**spreads, **width, **needed, "if doubled": twice}


def _over(rows: Sequence[Row], prompts: Collection[str]) -> list[Row]:
    return [row for row in rows if str(row["prompt"]) in prompts]
