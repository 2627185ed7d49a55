"""Let people judge: `python -m src.human_eval make RUN RUN ...`, later `... score ratings.csv ...`."""

from collections.abc import Callable, Sequence
from pathlib import Path

from omegaconf import DictConfig

from src.files.whole import read_object, write_atomic
from src.harness.build import plain
from src.harness.command import command
from src.harness.deciding import PAGE, STATISTIC, code_of
from src.human import ratings
from src.human.handouts import assets, write_kit
from src.human.kits import make_kit
from src.human.tables import tables_of
from src.reports.formats import markdown_text, sections, to_csv, to_text
from src.runs.digests import digest, file_digest
from src.runs.listing import check_listing
from src.runs.remote import local_folder
from src.runs.run import open_run
from src.runs.sides import read_sides
from src.runs.store import read_scores

KIND = "human_eval"
KEPT = ("key.csv", "config.json", "summary.json")  # what of a kit is needed to read ratings


@command(KIND)
def main(cfg: DictConfig) -> None:
    tasks: dict[str, Callable[[DictConfig, Sequence[str]], None]] = {"make": make, "score": score}
    task, *words = cfg.words or [""]
    if task not in tasks or not words:
        raise ValueError("say what to do: python -m src.human_eval make RUN RUN ..., or ... score ratings.csv ...")
    tasks[task](cfg, words)


def make(cfg: DictConfig, words: Sequence[str]) -> None:
    """Lay out a kit for the named runs."""
    settings = plain(cfg)
    sides = read_sides([local_folder(word, Path(cfg.runs) / "wandb") for word in words], settings["names"])
    numbers = {name: settings[name] for name in ("raters", "items", "per_sheet", "checks", "seed")}
    kit = make_kit(sides, **numbers)
    shown = {name: settings[name] for name in ("questions", "noun", "pixels", "image_base")}
    pictures = [[side.name, side.contents()] for side in sides]
    key = digest({"pictures": pictures, **shown, **numbers}, weights=assets(), code=code_of(PAGE))
    config = {**shown, **numbers, "runs": {side.name: str(side.folder) for side in sides}}
    with open_run(cfg.runs, KIND, config, key) as run:
        if not run.complete:
            write_kit(run.folder, kit, **shown)
            run.finish({"runs": [side.name for side in sides], "sheets": len(kit.sheets), "raters": cfg.raters})
    print(f"{len(kit.sheets)} sheets of {len(next(iter(kit.sheets.values())))} pairs, one for each rater")
    print(f"pages: {run.made('pages')}\nMTurk: {run.made('mturk')}\nkey:   {run.made('key.csv')} (keep it from raters)")
    if not cfg.image_base:
        print("for MTurk, put images/ at a public address and give it: image_base=https://...")


def score(cfg: DictConfig, words: Sequence[str]) -> None:
    """Read the ratings by their kit's key."""
    given = ratings.read_ratings([Path(word) for word in words])
    folder = _kit_folder(cfg, list(dict.fromkeys(rating.kit for rating in given)))
    key = read_scores(folder / "key.csv")
    settings, made = (read_object(folder / name) for name in ("config.json", "summary.json"))
    questions = list(settings["questions"])
    given = ratings.with_zeros(given, key)
    ratings.check_ratings(given, key, questions)
    files = {str(number): file_digest(Path(word)) for number, word in enumerate(words)}
    config = {"kit": {name: file_digest(folder / name) for name in KEPT}, "files": files}
    config |= {"pass_rate": cfg.pass_rate, "at_least": cfg.at_least}
    code = code_of(("human", *STATISTIC))
    with open_run(cfg.runs, "human_score", config, digest(config, weights={}, code=code)) as run:
        tables, notes = tables_of(given, key, made["runs"], questions, cfg.pass_rate, cfg.at_least)
        if not run.complete:
            text = "\n".join([sections(tables), *(f"- {markdown_text(note)}" for note in notes), ""])
            write_atomic(run.path("results.md"), text.encode())
            for title, table in tables.items():
                write_atomic(run.path(f"{title.lower()}.csv"), to_csv(table).encode())
            run.finish({"raters": len(tables["Raters"].rows), "ratings": len(given)})
    print("\n".join(f"{title}\n{to_text(table)}" for title, table in tables.items()) + "\n".join(notes))
    print(f"results: {run.made('results.md')}", flush=True)


def _kit_folder(cfg: DictConfig, kits: Sequence[str]) -> Path:
    """Where the kit of the ratings lies. FileNotFoundError if its key is not there; ValueError if it is damaged."""
    folder = Path(cfg.kit or Path(cfg.runs) / KIND / (kits[0] if len(kits) == 1 else "?"))
    if not (folder / "key.csv").is_file():
        raise FileNotFoundError(
            f"the key of the kits {', '.join(kits)} is not in {folder}: say kit=FOLDER, or runs=FOLDER"
        )
    check_listing(folder, KEPT)
    return folder


if __name__ == "__main__":
    main()
