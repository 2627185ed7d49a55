"""A mean of person means, or a paired difference, with its intervals; the person is the unit of analysis."""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from src.files.rows import CELL, Cell, Row, cell_of
from src.statistics.means import mean, number, person_means


@dataclass(frozen=True)
class Interval:
    """A mean of person means in units of the score, with its t-interval and its bootstrap interval, both of 95 %.

    With one person both intervals and p are nan, without any the mean is, too. pairs: rows with a score, or pairs of
    rows where it is a difference; left_out: those without one (no face, say). p: of a two-sided t-test against 0.
    """

    mean: float
    low: float
    high: float
    boot_low: float
    boot_high: float
    people: int
    prompts: int
    seeds: int
    pairs: int
    left_out: int
    p: float = math.nan


def interval(rows: Sequence[Row], column: str) -> Interval:
    """The mean of person means of a column, rows without a score left out."""
    known = [row for row in rows if not math.isnan(number(row.get(column)))]
    people, prompts = ([str(row[name]) for row in known] for name in ("person", "prompt"))
    means = list(person_means(known, column).values())
    return Interval(
        mean(means),
        *t_interval(means),
        *cluster_bootstrap([number(row[column]) for row in known], people, prompts),
        people=len(means),
        prompts=len(set(prompts)),
        seeds=len({str(row["seed"]) for row in known if "seed" in row}),
        pairs=len(known),
        left_out=len(rows) - len(known),
        p=p_value(means),
    )


def paired_difference(
    rows_a: Sequence[Row], rows_b: Sequence[Row], column: str, pair: Sequence[str] = CELL
) -> Interval:
    """The difference a - b of a column, paired by person, prompt and seed.

    `pair` may leave out "seed" where the two sides have different noise: rows of one cell are then averaged.
    ValueError unless both sides have the same cells with the same number of rows.
    """
    each = _differences(rows_a, rows_b, column, pair)
    return replace(interval(each, "difference"), seeds=len({str(row["seed"]) for row in rows_a}))


def person_differences(rows_a: Sequence[Row], rows_b: Sequence[Row], column: str) -> dict[str, float]:
    """The mean difference a - b of each person. ValueError as of `paired_difference`."""
    return person_means(_differences(rows_a, rows_b, column, CELL), "difference")


def common_difference(rows_a: Sequence[Row], rows_b: Sequence[Row], column: str) -> Interval | None:
    """The paired difference a - b over the images that both have; None if they have none or no such column."""
    common = {cell_of(row) for row in rows_a} & {cell_of(row) for row in rows_b}
    if not common or any(column not in rows[0] for rows in (rows_a, rows_b)):
        return None
    a, b = ([row for row in rows if cell_of(row) in common] for rows in (rows_a, rows_b))
    return paired_difference(a, b, column)


def prompt_means(rows: Sequence[Row], column: str) -> dict[str, tuple[float, float, float]]:
    """For each prompt the mean of person means and its t-interval over people."""
    found = {}
    for prompt in dict.fromkeys(str(row["prompt"]) for row in rows):
        known = [r for r in rows if str(r["prompt"]) == prompt and not math.isnan(number(r.get(column)))]
        means = list(person_means(known, column).values())
        found[prompt] = (mean(means), *t_interval(means))
    return found


def _differences(
    rows_a: Sequence[Row], rows_b: Sequence[Row], column: str, pair: Sequence[str]
) -> list[dict[str, Any]]:
    cells_a, cells_b = _cells(rows_a, column, pair), _cells(rows_b, column, pair)
    _check_pairs(cells_a, cells_b, pair)
    return [
        {**dict(zip(pair, key, strict=True)), "difference": mean(cells_a[key]) - mean(cells_b[key])} for key in cells_a
    ]


def _cells(rows: Sequence[Row], column: str, pair: Sequence[str]) -> dict[Cell, list[float]]:
    cells: dict[Cell, list[float]] = defaultdict(list)
    for row in rows:
        cells[cell_of(row, pair)].append(number(row[column]))
    return cells


def _check_pairs(cells_a: Mapping[Cell, Sequence[float]], cells_b: Mapping[Cell, Sequence[float]], pair: Sequence[str]):
    odd = [key for key in {**cells_a, **cells_b} if len(cells_a.get(key, [])) != len(cells_b.get(key, []))]
    if odd or not cells_a:
        first = ", ".join(f"{name}={value}" for name, value in zip(pair, odd[0], strict=True)) if odd else "no rows"
        raise ValueError(
            f"the two sets of scores do not pair up by {', '.join(pair)}: {len(odd)} cells differ ({first}); "
            "compare runs over the same people, prompts and seeds"
        )


def t_interval(values: Sequence[float], level: float = 0.95) -> tuple[float, float]:
    """Student's interval for the mean of independent values; (nan, nan) for fewer than two."""
    if len(values) < 2:
        return math.nan, math.nan
    from scipy import stats

    half = stats.t.ppf((1 + level) / 2, len(values) - 1) * stats.sem(values)
    return float(np.mean(values) - half), float(np.mean(values) + half)


def p_value(values: Sequence[float]) -> float:
    """Student's two-sided test that the mean of independent values is 0; nan for fewer than two."""
    if len(values) < 2:
        return math.nan
    if np.ptp(values) == 0:
        return float(values[0] == 0)
    from scipy import stats

    return float(stats.ttest_1samp(values, 0).pvalue)


def cluster_bootstrap(
    values: Sequence[float],
    people: Sequence[str],
    prompts: Sequence[str],
    *,
    seed: int = 0,
    draws: int = 2000,
    level: float = 0.95,
) -> tuple[float, float]:
    """Percentile interval for the mean of person means; people and prompts are drawn anew, independently.

    The crossed ("pigeonhole") bootstrap, Owen 2007; slightly too wide rather than too narrow.
    (nan, nan) for fewer than two people. A single prompt stays as it is.
    """
    who, i = np.unique(np.asarray(people), return_inverse=True)
    what, j = np.unique(np.asarray(prompts), return_inverse=True)
    if len(who) < 2:
        return math.nan, math.nan
    sums, counts = np.zeros((len(who), len(what))), np.zeros((len(who), len(what)))
    np.add.at(sums, (i, j), np.asarray(values, dtype=float))
    np.add.at(counts, (i, j), 1)
    rng = np.random.default_rng(seed)
    person_weights = rng.multinomial(len(who), np.full(len(who), 1 / len(who)), draws)  # [draws, people]
    prompt_weights = rng.multinomial(len(what), np.full(len(what), 1 / len(what)), draws)  # [draws, prompts]
    total = prompt_weights @ counts.T  # [draws, people]
    means = np.divide(prompt_weights @ sums.T, total, out=np.zeros(total.shape), where=total > 0)
    weights = person_weights * (total > 0)
    drawn = weights.any(axis=1)
    means = (weights * means).sum(axis=1)[drawn] / weights.sum(axis=1)[drawn]
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
