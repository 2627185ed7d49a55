"""What people prefer: win rates, Bradley-Terry strengths, and how far raters agree."""

import math
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np

from src.human.ratings import Vote
from src.statistics.interval import cluster_bootstrap

PRIOR = 0.01  # lsr's regularisation: a run that always wins has a finite strength
DRAWS = 500  # of people, for the intervals of strengths


def win_rate(votes: Sequence[Vote]) -> dict[str, Any]:
    """How often the first of two runs is preferred to the second, in votes on one question: a row of a table.

    win rate: wins among decided votes, with Wilson's interval, which takes votes as independent. preference: the mean
    vote with a tie as half, with a cluster bootstrap interval over people and prompts. alpha: as of `agreement`.
    """
    from scipy import stats

    wins, ties, losses = (sum(vote.value == value for vote in votes) for value in (1.0, 0.5, 0.0))
    decided = wins + losses
    ends = stats.binomtest(wins, decided).proportion_ci(method="wilson") if decided else (math.nan, math.nan)
    values = [vote.value for vote in votes]
    drawn = cluster_bootstrap(values, [vote.person for vote in votes], [vote.prompt for vote in votes])
    row: dict[str, Any] = {
        "wins": wins,
        "ties": ties,
        "losses": losses,
        "win rate": wins / decided if decided else math.nan,
    }
    row |= {"95 % (Wilson)": interval_text(*ends), "preference": float(np.mean(values))}
    return row | {"95 % (bootstrap)": interval_text(*drawn), "alpha": agreement(votes)}


def interval_text(low: float, high: float) -> str | None:
    """Both ends of an interval as a cell; None where there is none."""
    return None if math.isnan(low) else f"{low:.3f} {high:.3f}"


def agreement(votes: Sequence[Vote]) -> float:
    """Krippendorff's alpha over items, 1 for perfect agreement, 0 for chance; nan if no item has two raters or all
    votes are equal. Ordinal: first, tie, second."""
    raters = {name: i for i, name in enumerate(dict.fromkeys(vote.rater for vote in votes))}
    items = {name: j for j, name in enumerate(dict.fromkeys(vote.item for vote in votes))}
    table = np.full((len(raters), len(items)), np.nan)
    for vote in votes:
        table[raters[vote.rater], items[vote.item]] = vote.value
    shared = table[:, (~np.isnan(table)).sum(axis=0) > 1]
    if len(np.unique(shared[~np.isnan(shared)])) < 2:
        return math.nan
    import krippendorff

    return float(krippendorff.alpha(reliability_data=shared, level_of_measurement="ordinal"))


def strengths(votes: Sequence[Vote], runs: Sequence[str]) -> dict[str, float]:
    """Bradley-Terry strengths, mean 0: a beats b with probability 1 / (1 + exp(strength_b - strength_a)).

    Bradley and Terry 1952, by choix (Maystre and Grossglauser 2015). A tie is half a win for each.
    """
    place = {name: i for i, name in enumerate(runs)}
    wins = np.zeros((len(runs), len(runs)))
    for vote in votes:
        a, b = place[vote.first], place[vote.second]
        wins[a, b] += vote.value
        wins[b, a] += 1 - vote.value
    import choix

    fitted = choix.ilsr_pairwise_dense(wins, alpha=PRIOR, max_iter=1000)
    return dict(zip(runs, (float(value) for value in fitted - fitted.mean()), strict=True))


def strength_intervals(votes: Sequence[Vote], runs: Sequence[str], seed: int = 0) -> dict[str, tuple[float, float]]:
    """95 % bootstrap intervals of the strengths, people drawn anew; (nan, nan) for fewer than two people."""
    by_person: dict[str, list[Vote]] = defaultdict(list)
    for vote in votes:
        by_person[vote.person].append(vote)
    people = list(by_person)
    if len(people) < 2:
        return dict.fromkeys(runs, (math.nan, math.nan))
    rng = np.random.default_rng(seed)
    drawn = []
    for _ in range(DRAWS):
        sample = [vote for k in rng.integers(len(people), size=len(people)) for vote in by_person[people[k]]]
        drawn.append(list(strengths(sample, runs).values()))
    low, high = np.quantile(drawn, [0.025, 0.975], axis=0)
    return {name: (float(low[i]), float(high[i])) for i, name in enumerate(runs)}
