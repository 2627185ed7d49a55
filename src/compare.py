"""Several runs in one page and in tables for a paper: `python -m src.compare RUN RUN ...` (folders or W&B paths)."""

from collections.abc import Sequence
from pathlib import Path

from omegaconf import DictConfig

from src.files.whole import write_atomic
from src.harness.build import plain
from src.harness.command import command
from src.harness.deciding import PAGE, code_of
from src.reports.comparison_files import comparison_files
from src.reports.comparison_page import assets
from src.runs.digests import digest
from src.runs.remote import local_folder
from src.runs.run import open_run
from src.runs.sides import Side, read_sides


@command("compare")
def main(cfg: DictConfig) -> None:
    if not cfg.compared:
        raise ValueError("no runs are given: write python -m src.compare RUN RUN, such as runs/full/0123456789ab")
    settings = {name: plain(cfg)[name] for name in ("names", "reference", "pixels", "published")}
    folders = [local_folder(word, Path(cfg.runs) / "wandb") for word in cfg.compared]
    sides = read_sides(folders, settings["names"])
    reference = _reference(sides, cfg.reference)
    contents = [[side.name, side.kind, side.folder.name, dict(side.about), side.contents()] for side in sides]
    key = digest({"sides": contents, **settings}, weights=assets(), code=code_of(PAGE))
    config = {"compared": {side.name: str(side.folder) for side in sides}, **settings}
    with open_run(cfg.runs, "compare", config, key) as run:
        if not run.complete:
            shown = {"published": settings["published"] or {}, "pixels": settings["pixels"]}
            for name, content in comparison_files(sides, reference, **shown).items():
                write_atomic(run.path(name), content.encode())
            run.finish({"runs": [side.name for side in sides], "reference": reference.name})
    print(run.made("overview.txt").read_text(encoding="utf-8"))
    for name, what in (("compare.html", "page"), ("tables.md", "markdown"), ("tables.tex", "LaTeX")):
        print(f"{what + ':':<10}{run.made(name)}", flush=True)


def _reference(sides: Sequence[Side], name: str | None) -> Side:
    """The run that differences are taken against: the named one, or the first."""
    methods = {side.name: side for side in sides if side.role == "method"}
    if name is not None and name not in methods:
        raise ValueError(f"reference ({name}) is none of the compared runs: {', '.join(methods)}")
    return methods[name] if name is not None else next(iter(methods.values()))


if __name__ == "__main__":
    main()
