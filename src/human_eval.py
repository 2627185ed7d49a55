"""Let people judge: `python -m src.human_eval make RUN RUN ...`, later `... score ratings.csv ...`."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from src.harness.build import plain
from src.harness.command import command
from src.harness.deciding import PAGE, STATISTIC, code_of
from src.human import kit_files, ratings
from src.human.human_tables import tables_of
from src.human.kits import Kit, key_rows, make_kit
from src.reports.formats import markdown_text, to_csv, to_markdown, to_text
from src.reports.page import assets
from src.runs.compared import Side, read_sides
from src.runs.digests import digest, file_digest
from src.runs.listing import check_listing
from src.runs.remote import local_folder
from src.runs.run import Run, open_run
from src.runs.store import read_object, read_scores, write_atomic

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
    own = {name: settings[name] for name in ("questions", "noun", "pixels", "image_base")} | numbers
    pictures = [[side.name, side.contents()] for side in sides]
    key = digest({"pictures": pictures, **own}, weights=assets(), code=code_of(PAGE))
    with open_run(cfg.runs, KIND, {**own, "runs": {side.name: str(side.folder) for side in sides}}, key) as run:
        if not run.complete:
            _write_kit(run, kit, sides, own)
            run.finish({"runs": [side.name for side in sides], "sheets": len(kit.sheets), "raters": cfg.raters})
    print(f"{len(kit.sheets)} sheets of {len(next(iter(kit.sheets.values())))} pairs, one for each rater")
    print(f"pages: {run.made('pages')}\nMTurk: {run.made('mturk')}\nkey:   {run.made('key.csv')} (keep it from raters)")
    if not cfg.image_base:
        print("for MTurk, put images/ at a public address and give it: image_base=https://...")


def _write_kit(run: Run, kit: Kit, sides: Sequence[Side], own: Mapping[str, Any]) -> None:
    name, asked, noun = f"{ratings.MARK}{run.folder.name}", own["questions"], own["noun"]
    for token, picture in kit.pictures.items():
        write_atomic(run.path(f"images/{token}.png"), kit_files.as_png(picture))
    for sheet in kit.sheets:
        page = kit_files.sheet_page(name, sheet, kit, asked, noun, own["pixels"])
        write_atomic(run.path(f"pages/sheet-{sheet}.html"), page.encode())
    length = len(next(iter(kit.sheets.values())))
    rows = kit_files.hit_rows(name, kit.sheets, noun, own["image_base"] or "images")
    write_atomic(run.path("mturk/hit.html"), kit_files.hit_html(length, asked).encode())
    write_atomic(run.path("mturk/hits.csv"), kit_files.as_csv(rows))
    write_atomic(run.path("key.csv"), kit_files.as_csv(key_rows(run.folder.name, kit.sheets)))


def score(cfg: DictConfig, words: Sequence[str]) -> None:
    """Read the ratings by their kit's key."""
    given = ratings.read_ratings([Path(word) for word in words])
    kits = list(dict.fromkeys(rating.kit for rating in given))
    folder = Path(cfg.kit or Path(cfg.runs) / KIND / (kits[0] if len(kits) == 1 else "?"))
    if not (folder / "key.csv").is_file():
        raise FileNotFoundError(
            f"the key of the kits {', '.join(kits)} is not in {folder}: say kit=FOLDER, or runs=FOLDER"
        )
    check_listing(folder, KEPT)
    key = read_scores(folder / "key.csv")
    settings, made = (read_object(folder / name) for name in ("config.json", "summary.json"))
    given = ratings.with_zeros(given, key)
    ratings.check_ratings(given, key, list(settings["questions"]))
    files = {str(number): file_digest(Path(word)) for number, word in enumerate(words)}
    kit = {name: file_digest(folder / name) for name in KEPT}
    own = {"kit": kit, "files": files, "pass_rate": cfg.pass_rate, "at_least": cfg.at_least}
    with open_run(cfg.runs, "human_score", own, digest(own, weights={}, code=code_of(("human", *STATISTIC)))) as run:
        found, notes = tables_of(given, key, made["runs"], list(settings["questions"]), cfg.pass_rate, cfg.at_least)
        if not run.complete:
            text = "\n".join(f"## {markdown_text(title)}\n\n{to_markdown(table)}" for title, table in found.items())
            write_atomic(
                run.path("results.md"), "\n".join([text, *(f"- {markdown_text(note)}" for note in notes), ""]).encode()
            )
            for title, table in found.items():
                write_atomic(run.path(f"{title.lower()}.csv"), to_csv(table).encode())
            run.finish({"raters": len(found["Raters"].rows), "ratings": len(given)})
    print("\n".join(f"{title}\n{to_text(table)}" for title, table in found.items()) + "\n".join(notes))
    print(f"results: {run.made('results.md')}", flush=True)


if __name__ == "__main__":
    main()
