"""The tables of a human evaluation: preferences, strengths and raters, and notes of what was left out."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from src.human.preferences import interval_text, strength_intervals, strengths, win_rate
from src.human.ratings import Rating, Vote, checked, votes_of, without_repeats
from src.statistics.table import Table, blanked

COUNTED = {"person": "people", "prompt": "prompts", "rater": "raters"}


def tables_of(
    given: Sequence[Rating],
    key: Sequence[Mapping[str, str]],
    runs: Sequence[str],
    questions: Sequence[str],
    pass_rate: float,
    at_least: int,
) -> tuple[dict[str, Table], list[str]]:
    """Preferences, strengths and raters; and notes of who was left out, who answered twice, what few people rated."""
    once, notes = without_repeats(given)
    checks = checked(once, key)
    failed = [rater for rater, (right, asked) in checks.items() if asked and right < pass_rate * asked]
    votes = votes_of([rating for rating in once if rating.rater not in failed], key, runs)
    notes += [f"left out, too many checks failed: {', '.join(failed)}"] if failed else []
    items = [row["item"] for row in key if not row["expected"]]
    notes += thin_items(votes, list(dict.fromkeys(items)), questions, at_least)
    raters = rater_table(once, checks, failed)
    if not votes:
        raise ValueError(f"no rating is left to count: {'; '.join(notes)}")
    return {
        "Preferences": preference_table(votes),
        "Strengths": strength_table(votes, runs),
        "Raters": raters,
    }, notes


def preference_table(votes: Sequence[Vote]) -> Table:
    """A line for each question and pair of runs."""
    groups: dict[tuple[str, str, str], list[Vote]] = defaultdict(list)
    for vote in votes:
        groups[vote.question, vote.first, vote.second].append(vote)
    rows = []
    for (question, first, second), group in groups.items():
        row = {"question": question, "run": first, "against": second, **blanked(win_rate(group))}
        rows.append(row | {"items": len({vote.item for vote in group}), **_sizes(group)})
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
        answers = [vote for vote in votes if vote.question == question]
        means, intervals = strengths(answers, runs), strength_intervals(answers, runs)
        for run in sorted(runs, key=lambda name: -means[name]):
            ends = interval_text(*intervals[run])
            rows.append({"question": question, "run": run, "strength": means[run], "95 % (bootstrap)": ends})
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
    return {many: len({getattr(vote, one) for vote in votes}) for one, many in COUNTED.items()}
