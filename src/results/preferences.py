"""What people prefer: win rates, Bradley-Terry strengths, agreement, and which raters paid attention."""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import choix
import krippendorff
import numpy as np
from scipy import stats

from src.results.differences import cluster_bootstrap
from src.results.formats import Table
from src.results.ratings import Rating, Vote

PRIOR = 0.01  # lsr's regularisation: a run that always wins has a finite strength
DRAWS = 500  # of people, for the intervals of strengths


@dataclass(frozen=True)
class WinRate:
    """How often the first of two runs is preferred to the second.

    rate: wins among decided votes, with Wilson's interval, which takes votes as independent. preference: the mean
    vote with a tie as half, with a cluster bootstrap interval over people and prompts. alpha: Krippendorff's, ordinal
    (first, tie, second), nan if no item has two raters or all votes are equal.
    """

    wins: int
    ties: int
    losses: int
    rate: float
    low: float
    high: float
    preference: float
    boot_low: float
    boot_high: float
    alpha: float


def win_rate(votes: Sequence[Vote]) -> WinRate:
    """The win rate over votes on one pair of runs and one question."""
    wins, ties, losses = (sum(vote.value == value for vote in votes) for value in (1.0, 0.5, 0.0))
    decided = wins + losses
    wilson = stats.binomtest(wins, decided).proportion_ci(method="wilson") if decided else (math.nan, math.nan)
    values = [vote.value for vote in votes]
    boot = cluster_bootstrap(values, [vote.person for vote in votes], [vote.prompt for vote in votes])
    rate = wins / decided if decided else math.nan
    return WinRate(wins, ties, losses, rate, *map(float, wilson), float(np.mean(values)), *boot, agreement(votes))


def agreement(votes: Sequence[Vote]) -> float:
    """Krippendorff's alpha over items, 1 for perfect agreement, 0 for chance; nan where it is undefined."""
    raters = {name: i for i, name in enumerate(dict.fromkeys(vote.rater for vote in votes))}
    items = {name: j for j, name in enumerate(dict.fromkeys(vote.item for vote in votes))}
    table = np.full((len(raters), len(items)), np.nan)
    for vote in votes:
        table[raters[vote.rater], items[vote.item]] = vote.value
    shared = table[:, (~np.isnan(table)).sum(axis=0) > 1]
    if len(np.unique(shared[~np.isnan(shared)])) < 2:
        return math.nan
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
    found = choix.ilsr_pairwise_dense(wins, alpha=PRIOR, max_iter=1000)
    return dict(zip(runs, (float(value) for value in found - found.mean()), strict=True))


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


def preference_table(votes: Sequence[Vote]) -> Table:
    """A line for each question and pair of runs."""
    groups: dict[tuple[str, str, str], list[Vote]] = defaultdict(list)
    for vote in votes:
        groups[vote.question, vote.first, vote.second].append(vote)
    rows = []
    for (question, first, second), own in groups.items():
        found = win_rate(own)
        row: dict[str, Any] = {"question": question, "run": first, "against": second}
        row |= {"wins": found.wins, "ties": found.ties, "losses": found.losses, "win rate": _blank(found.rate)}
        row |= {"95 % (Wilson)": _ends(found.low, found.high), "preference": _blank(found.preference)}
        row |= {"95 % (bootstrap)": _ends(found.boot_low, found.boot_high), "alpha": _blank(found.alpha)}
        rows.append({**row, "items": len({v.item for v in own}), **_sizes(own)})
    notes = [
        "win rate: wins among decided votes, Wilson's interval, as if votes were independent",
        "preference: mean vote, a tie is half; cluster bootstrap over people and prompts",
        "alpha: Krippendorff's, ordinal; 1 is perfect agreement of raters, 0 is chance",
    ]
    return Table(rows, notes)


def strength_table(votes: Sequence[Vote], runs: Sequence[str]) -> Table:
    """A line for each question and run, the strongest first."""
    rows = []
    for question in dict.fromkeys(vote.question for vote in votes):
        own = [vote for vote in votes if vote.question == question]
        found, intervals = strengths(own, runs), strength_intervals(own, runs)
        for run in sorted(runs, key=lambda name: -found[name]):
            ends = _ends(*intervals[run])
            rows.append({"question": question, "run": run, "strength": found[run], "95 % (bootstrap)": ends})
    return Table(rows, ["Bradley-Terry strengths, mean 0, a tie is half a win; bootstrap over people"])


def rater_table(ratings: Sequence[Rating], checks: Mapping[str, tuple[int, int]], failed: Sequence[str]) -> Table:
    """A line for each rater: how many answers, checks passed, share of "left" among decided answers, verdict."""
    rows = []
    for rater, (right, asked) in checks.items():
        answers = [rating.answer for rating in ratings if rating.rater == rater]
        decided = [answer for answer in answers if answer != "tie"]
        left = decided.count("left") / len(decided) if decided else None
        verdict = "left out" if rater in failed else "counted" if asked else "counted, saw no check"
        row = {"rater": rater, "answers": len(answers), "checks right": right, "checks": asked, "left": left}
        rows.append({**row, "ties": answers.count("tie"), "verdict": verdict})
    return Table(rows, ["left: share of left among answers that are no tie; a careful rater is near a half"])


def thin_items(votes: Sequence[Vote], items: Sequence[str], questions: Sequence[str], least: int) -> list[str]:
    """In words, each item and question that fewer than `least` counted raters answered."""
    raters: dict[tuple[str, str], set[str]] = defaultdict(set)
    for vote in votes:
        raters[vote.item, vote.question].add(vote.rater)
    thin = {
        f"{item} {question} ({len(raters[item, question])})"
        for item in items
        for question in questions
        if len(raters[item, question]) < least
    }
    return [f"fewer than {least} counted raters: {', '.join(sorted(thin))}"] if thin else []


def _sizes(votes: Sequence[Vote]) -> dict[str, int]:
    return {f"{name}s" if name != "person" else "people": len({getattr(v, name) for v in votes}) for name in _COUNTED}


_COUNTED = ("person", "prompt", "rater")


def _ends(low: float, high: float) -> str | None:
    return None if math.isnan(low) else f"{low:.3f} {high:.3f}"


def _blank(value: float) -> float | None:
    return None if math.isnan(value) else value
