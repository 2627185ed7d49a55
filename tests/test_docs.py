"""What the pages say is so: every command line composes; paths, links, settings and stored numbers are there."""

import ast
import itertools
import json
import re
import shlex
import textwrap
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser

from src.harness.compose import CONF, composed
from src.harness.settings import schema
from src.harness.settings.words import SWEEPING
from src.reports.claims import read_result
from src.tiny_world.gates.gate import Gate, print_gates

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
LINKING = [
    *PAGES,
    ROOT / "CHANGELOG.md",
    *sorted(p for room in ("conf", "experiments", "notebooks") for p in (ROOT / room).rglob("README.md")),
]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
ROOTS = sorted(path.stem for path in CONF.glob("*.yaml"))
LANGUAGES = {"sh", "python", "yaml", "csv", "text"}
FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.DOTALL | re.MULTILINE)
SPAN = re.compile(r"`([^`\n]+)`")
PLACE = re.compile(
    r"(?:src|conf|docs|tests|experiments|notebooks)/[\w.*/-]*|[A-Z]+\.(?:md|cff)|pyproject\.toml|Makefile"
)
SETTING = re.compile(r"\+?([a-z_0-9]+(?:[./@][a-z_0-9]+)*)=(.*)")
WANDB = {"login", "sync", "leet"}


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def fences(page: Path, language: str) -> list[str]:
    return [body for _, kind, body in FENCE.findall(page.read_text()) if kind == language]


def prose(page: Path) -> str:
    return FENCE.sub("", page.read_text())


def spans(page: Path) -> list[str]:
    return SPAN.findall(prose(page))


def command_lines(page: Path) -> Iterator[str]:
    """Every line of a fenced block of shell, and every span that begins like one."""
    for block in fences(page, "sh"):
        yield from (line for line in map(str.strip, block.replace("\\\n", " ").splitlines()) if line and line[0] != "#")
    yield from (span for span in spans(page) if span.startswith(("python -m", "make ", "pip ", "git ", "wandb ")))


ASKED = [*PAGES, *sorted((ROOT / "experiments").rglob("README.md"))]  # whose commands are typed by readers
COMMANDS = {line: name_of(page) for page in reversed(ASKED) for line in command_lines(page)}  # each once


def each_of_a_sweep(words: list[str]) -> list[list[str]]:
    """What Hydra makes of `-m`: one command line for each value; where it is launched is tested in test_targets."""
    if not set(words) & set(SWEEPING):
        return [words]
    own = [word for word in words if word not in SWEEPING and not word.startswith(("hydra/", "hydra."))]
    parsed = OverridesParser.create().parse_overrides(own)
    choices = [
        [f"{p.get_key_element()}={value}" for value in p.sweep_string_iterator()] if p.is_sweep_override() else [word]
        for p, word in zip(parsed, own, strict=True)
    ]
    return [list(line) for line in itertools.product(*choices)]


def check_ours(module: str, words: list[str]) -> None:
    """A command of this package: it is there, and what is typed composes and is allowed."""
    name = module.removeprefix("src.")
    assert (ROOT / "src" / f"{name}.py").is_file(), f"there is no {module}"
    if name == "bench":
        name = f"bench_{words.pop(0)}"
    for line in each_of_a_sweep(words):
        composed(name, line)


def check_pytest(words: list[str]) -> None:
    """Markers that are declared, and files that are there."""
    markers = {line.partition(":")[0] for line in PROJECT["tool"]["pytest"]["ini_options"]["markers"]}
    if "-m" in words:
        place = words.index("-m")
        assert set(re.findall(r"\w+", words[place + 1])) - {"not", "and", "or"} <= markers
        words = words[:place] + words[place + 2 :]
    assert all((ROOT / word.partition("::")[0]).exists() for word in words if not word.startswith("-"))


def check_pip(words: list[str]) -> None:
    """Extras that the project has, and requirements as it states them."""
    (wanted,) = [word for word in words if not word.startswith("-")]
    extras = re.fullmatch(r"\.(?:\[([\w,]+)\])?", wanted)
    if extras:
        assert set(filter(None, (extras[1] or "").split(","))) <= set(PROJECT["project"]["optional-dependencies"])
    else:
        assert wanted in PROJECT["project"]["dependencies"]


@pytest.mark.parametrize("line", COMMANDS, ids=[f"{page}: {line}" for line, page in COMMANDS.items()])
def test_every_command_line_composes(line):
    words = shlex.split(line, comments=True)
    words[0] = words[0].removeprefix(".venv/bin/")
    match words:
        case ["python", "-m", "venv", _] | ["pre-commit", "install"] | ["git", "clone", "--depth", "1", _]:
            pass
        case ["python", "-m", "pytest", *rest]:
            check_pytest(rest)
        case ["torchrun", "--nproc-per-node", _, "-m", module, *rest] | ["python", "-m", module, *rest]:
            check_ours(module, rest)
        case ["make", target]:
            assert target in TARGETS
        case ["pip", "install", *rest]:
            check_pip(rest)
        case ["wandb", task, *_]:
            assert task in WANDB
        case _:
            pytest.fail(f"nothing here can check {line!r}: teach {Path(__file__).name} how")


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_blocks_and_spans_are_whole(page):
    assert {kind for _, kind, _ in FENCE.findall(page.read_text())} <= LANGUAGES, "say what each block holds"
    assert all(line.count("`") % 2 == 0 for line in prose(page).splitlines()), "a span in backticks goes over a line"
    for block in fences(page, "python"):
        ast.parse(textwrap.dedent(block))
    for block in fences(page, "yaml"):
        assert yaml.safe_load(block)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_path_is_there(page):
    for span in filter(PLACE.fullmatch, spans(page)):
        known = span.split("NAME")[0].rstrip("/")  # of conf/method/NAME.yaml the folder
        assert list(ROOT.glob(known)), f"{span} is not here"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_setting_exists(page):
    for span in spans(page):
        found = SETTING.fullmatch(span)
        if not found or found[1].startswith("hydra"):
            continue
        group, choices = found[1].partition("@")[0], found[2].split(",")
        if (CONF / group).is_dir() and "{" not in span:
            assert all(choice.isupper() or (CONF / group / f"{choice}.yaml").is_file() for choice in choices), span
        else:
            assert any(schema.kind_of(found[1], root) for root in ROOTS), f"no command has a setting {found[1]}"


def slug(heading: str) -> str:
    """The anchor that a heading gets on GitHub."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("page", LINKING, ids=name_of)
def test_every_link_leads_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if target.startswith(("http:", "https:", "mailto:")):
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        assert there.exists(), f"{target} leads nowhere"
        if anchor:
            assert anchor in map(slug, re.findall(r"^#+ (.*)$", there.read_text(), re.MULTILINE)), (
                f"no heading {anchor}"
            )


def test_the_readme_is_short_and_leads_to_every_page():
    text = (ROOT / "README.md").read_bytes()
    assert len(text) <= 8192
    assert all(f"({name_of(page)})".encode() in text for page in PAGES[1:])


def test_the_readme_states_the_stored_verdicts():
    claims = {
        path.stem: read_result(ROOT / "experiments" / path.stem / "full.json") for path in CONF.glob("claim/*.yaml")
    }
    page = (ROOT / "README.md").read_text()
    stated = re.findall(r"\(experiments/(\w+)/README\.md\)[^|]*\| ([a-z ]+) \|", page)
    assert dict(stated) == {name: stored.verdict for name, stored in claims.items() if stored}
    numbers = ["no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
    fail = [verdict for _, verdict in stated].count("not supported")
    assert f"[{numbers[fail]} do not hold there]" in page[: page.index("![")]


def test_the_page_of_the_world_holds_the_measured_gates():
    (table,) = [block for block in fences(ROOT / "docs" / "world.md", "text") if block.startswith("gate ")]
    gates = json.loads((ROOT / "src" / "tiny_world" / "weights" / "manifest.json").read_text())["gates"]
    assert table.strip() == print_gates([Gate(**row) for row in gates]).strip()


def test_the_design_has_a_row_for_every_room_and_command():
    rooms = [f"`src/{path.parent.name}/`" for path in (ROOT / "src").glob("*/__init__.py")]
    design, commands = ((ROOT / "docs" / name).read_text() for name in ("design.md", "commands.md"))
    assert [room for room in rooms if room not in design] == []
    runnable = [path.stem for path in (ROOT / "src").glob("*.py") if '__name__ == "__main__"' in path.read_text()]
    assert [name for name in runnable if f"python -m src.{name}" not in commands] == []


def test_the_changelog_knows_the_version():
    assert f"## {PROJECT['project']['version']}" in (ROOT / "CHANGELOG.md").read_text()
