"""Statistics on rows of scores.csv; the person is the unit of analysis. Pure functions of rows and a seed."""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Row = Mapping[str, Any]
Key = tuple[str, ...]
PAIR = ("person", "prompt", "seed")


@dataclass(frozen=True)
class Difference:
    """A paired difference a - b in units of the score: t-interval and bootstrap interval, both of 95 %.

    With one person both intervals and p are nan. `left_out` pairs had no score on one side (no face, say).
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
    p: float = math.nan  # two-sided t-test on person means


def number(value: Any) -> float:
    """A cell of a row as a number: blank is nan, true and false are 1 and 0. ValueError for other words."""
    if value is None or value == "":
        return math.nan
    if value in ("True", "False"):
        return float(value == "True")
    return float(value)


def person_means(rows: Sequence[Row], column: str, by: str = "person") -> dict[str, float]:
    """The mean of a column for each person (or another column `by`), blanks left out; nan if all are."""
    cells: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        cells[str(row[by])].append(number(row[column]))
    return {name: _mean(values) for name, values in cells.items()}


def overall_mean(rows: Sequence[Row], column: str) -> float:
    """The mean of person means; nan if there is none."""
    return _mean(list(person_means(rows, column).values()))


def column_means(rows: Sequence[Row]) -> dict[str, Any]:
    """The plain mean over images of every judge's column and of face_found, blanks left out: what a summary holds.

    "scored" says of each column over how many images its mean is, where that is not over all.
    """
    columns = [name for name in (rows[0] if rows else ()) if "/" in name or name == "face_found"]
    known = {name: [value for value in (number(row[name]) for row in rows) if value == value] for name in columns}
    fewer = {name: len(values) for name, values in known.items() if len(values) < len(rows)}
    return {name: _mean(values) for name, values in known.items() if values} | ({"scored": fewer} if fewer else {})


def over_how_many(rows: Sequence[Row], column: str) -> str:
    """ "12 of 16 images" where a column has blanks, "" where it has none (or nothing else)."""
    known = sum(not math.isnan(number(row.get(column))) for row in rows)
    return f"{known} of {len(rows)} images" if 0 < known < len(rows) else ""


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan


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


def paired_difference(
    rows_a: Sequence[Row], rows_b: Sequence[Row], column: str, *, pair: Sequence[str] = PAIR, seed: int = 0
) -> Difference:
    """The difference a - b of a column, paired by person, prompt and seed; intervals on person means.

    `pair` may leave out "seed" where the two sides have different noise: rows of one cell are then averaged.
    ValueError unless both sides have the same cells with the same number of rows.
    """
    cells_a, cells_b = _cells(rows_a, column, pair), _cells(rows_b, column, pair)
    _check_pairs(cells_a, cells_b, pair)
    each = {key: _mean(cells_a[key]) - _mean(cells_b[key]) for key in cells_a}
    known = {key: value for key, value in each.items() if not math.isnan(value)}
    rows = [{**dict(zip(pair, key, strict=True)), "difference": value} for key, value in known.items()]
    means = list(person_means(rows, "difference").values())
    people, prompts = ([str(row[name]) for row in rows] for name in ("person", "prompt"))
    low, high = t_interval(means)
    boot_low, boot_high = cluster_bootstrap(list(known.values()), people, prompts, seed=seed)
    return Difference(
        mean=_mean(means),
        low=low,
        high=high,
        boot_low=boot_low,
        boot_high=boot_high,
        people=len(set(people)),
        prompts=len(set(prompts)),
        seeds=len({str(row["seed"]) for row in rows_a}),
        pairs=len(rows),
        left_out=len(each) - len(known),
        p=p_value(means),
    )


def _cells(rows: Sequence[Row], column: str, pair: Sequence[str]) -> dict[Key, list[float]]:
    cells: dict[Key, list[float]] = defaultdict(list)
    for row in rows:
        cells[tuple(str(row[name]) for name in pair)].append(number(row[column]))
    return cells


def _check_pairs(cells_a: Mapping[Key, Sequence[float]], cells_b: Mapping[Key, Sequence[float]], pair: Sequence[str]):
    odd = [key for key in {**cells_a, **cells_b} if len(cells_a.get(key, [])) != len(cells_b.get(key, []))]
    if odd or not cells_a:
        first = ", ".join(f"{name}={value}" for name, value in zip(pair, odd[0], strict=True)) if odd else "no rows"
        raise ValueError(
            f"the two sets of scores do not pair up by {', '.join(pair)}: {len(odd)} cells differ ({first}); "
            "compare runs over the same people, prompts and seeds"
        )


def normalised(
    rows: Sequence[Row], floor: Sequence[Row], ceiling: Sequence[Row], judges: Sequence[str]
) -> list[dict[str, Any]]:
    """The rows with a column "normalised": the mean over judges of (score - floor) / (ceiling - floor).

    Floor and ceiling are the means of person means of these rows, judge by judge. A blank score of any judge
    makes the row blank. ValueError if a judge's ceiling does not lie above its floor.
    """
    scales = {judge: scale(floor, ceiling, judge) for judge in judges}

    def score(row: Row) -> float:
        return float(np.mean([(number(row[judge]) - low) / (high - low) for judge, (low, high) in scales.items()]))

    return [{**row, "normalised": score(row)} for row in rows]


def scale(floor: Sequence[Row], ceiling: Sequence[Row], judge: str) -> tuple[float, float]:
    """(floor, ceiling) of a judge. ValueError if the ceiling does not lie above the floor."""
    low, high = overall_mean(floor, judge), overall_mean(ceiling, judge)
    if not high > low:
        raise ValueError(f"{judge}: its ceiling ({high:.3f}) does not lie above its floor ({low:.3f})")
    return low, high
