"""Thousands of bad inputs, each ending in a result or in one sentence: never in a traceback, never in a hang.

The quick version, in CI, tries 530 of them and the slow one 5,300.
"""

import io
import os
import shutil
import signal
from collections.abc import Callable
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from omegaconf.errors import OmegaConfBaseException
from PIL import Image

from src import export_person
from src.data.photo_index import photo_index
from src.data.photos import PhotoFolder, read_photo
from src.files.pictures import decode_picture
from src.files.sheets import read_sheet
from src.harness import compose
from src.harness.settings import errors
from src.human import ratings
from src.metrics.pictures import Album
from src.metrics.scene import read_scene
from src.models.promptnet_files import read_folder
from src.reports.claims import read_result
from src.runs import store
from src.runs.sides import read_sides

EXAMPLE = Path(compose.PACKAGE) / "tiny_world" / "examples" / "person-300000.png"
EXPECTED = (ValueError, OSError, OmegaConfBaseException)  # what a command ends with in one sentence
PATIENCE = 30  # seconds until one input counts as a hang
QUICK = {"overrides": 130, "sheets": 100, "json": 100, "pictures": 100, "manifests": 100}
ANYTHING = st.text(st.one_of(st.sampled_from("\\'\"[]{}(),=: $~*+#@\n\t-"), st.characters()), max_size=30)
VALUES = st.one_of(
    st.sampled_from(
        ["null", "???", "true", "1.5", "-1", "1e400", "nan", "2**64", str(2**64), "[]", "[1,", "{}", "{a: 1}", "${x}"]
        + ["${oc.env:X}", "a,b", "1,2", "'", '"', "''", "(", "range(1,3)", "int(x)", "${", "\\", "a=b", "x" * 5000]
    ),
    ANYTHING,
)


def sizes(kind: str):
    """The number of inputs in CI, and in the slow tests."""
    return pytest.mark.parametrize("inputs", [QUICK[kind], pytest.param(10 * QUICK[kind], marks=pytest.mark.slow)])


def tried(inputs: int, strategy: st.SearchStrategy, act) -> None:
    """Act on so many inputs; each ends in a result or one sentence, in time."""

    @settings(max_examples=inputs, suppress_health_check=list(HealthCheck))
    @given(strategy)
    def each(value) -> None:
        with in_time():
            ends(partial(act, value))

    each()


def ends(act: Callable[[], object], named: str = "") -> None:
    """Fails unless this ends in a result, or in one sentence with a name in it."""
    said = "a result"
    try:
        act()
    except EXPECTED as error:
        said = errors.one_line(error)
    assert said and "\n" not in said and len(said) < 21_000
    assert named in said or said == "a result"


@contextmanager
def in_time():
    def late(*_):
        raise TimeoutError(f"no end after {PATIENCE} s")  # an OSError, but raised where nothing expects it

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(PATIENCE)
    try:
        yield
    except TimeoutError as error:
        pytest.fail(str(error))
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@st.composite
def damaged(draw, originals):
    """One of the originals with a few bytes changed, lost or put in, cut off, doubled, or in another encoding."""
    content = originals[draw(st.integers(0, len(originals) - 1))]
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, max(0, len(content) - 1)))
        piece = draw(st.binary(max_size=8) | st.sampled_from([b"\0", b'"', b"\r", b",", b"[" * 5000, b"\xff"]))
        before, after = content[:place], content[place:]
        tails = (piece + after[len(piece) :], piece + after, after[20:], b"", content)
        content = before + tails[draw(st.integers(0, len(tails) - 1))]
    coded = draw(st.sampled_from(["", "", "", "utf-16", "utf-8-sig", "utf-16-be"]))
    return content.decode("latin-1").encode(coded) if coded else content


COMMANDS = ["compare", "human_eval", "dashboard", "import_official", "regularisation", "personalise"]


@pytest.fixture(scope="module")
def known():
    return {name: compose.settings(compose.composed(name, [])) for name in COMMANDS}


@sizes("overrides")
def test_overrides(known, inputs):
    setting = st.sampled_from(COMMANDS).flatmap(lambda name: st.tuples(st.just(name), st.sampled_from(known[name])))
    strange = st.tuples(st.sampled_from(COMMANDS), ANYTHING)
    word = st.tuples(setting | setting | strange, st.sampled_from(["", "", "", "+", "~", "++"]), VALUES)
    tried(inputs, word, lambda drawn: compose.composed(drawn[0][0], [f"{drawn[1]}{drawn[0][1]}={drawn[2]}"]))


SHEETS = [
    b'file,person,prompt,seed,family,photo\na.png,1,S* at sea,0,own,p.png\nb.png,2,"S*, red",1,own,p.png\n',
    "kit;sheet;rater;item;question;answer\r\nkit-1e5;s001;Zoë;p1;text;left\r\n".encode(),
    b"WorkerId,Input.kit,Input.sheet,Input.item_1,AssignmentStatus,Answer.a1-text.left\nw,k,s001,p1,Approved,true\n",
]


@sizes("sheets")
def test_sheets(tmp_path, inputs):
    path = tmp_path / "sheet.csv"

    def read(content: bytes) -> None:
        path.write_bytes(content)
        for reader in (read_sheet, store.read_scores, lambda p: ratings.read_ratings([p])):
            ends(partial(reader, path), str(path))

    tried(inputs, damaged(SHEETS), read)


@sizes("json")
def test_json(made, tmp_path, inputs):
    promptnet = tmp_path / "promptnet"
    shutil.copytree(Path(compose.PACKAGE) / "tiny_world" / "weights" / "promptnet", promptnet)
    run = tmp_path / "run"
    shutil.copytree(made["full"], run)
    names = ["summary.json", "config.json", "sittings.jsonl", "metrics.jsonl", "scores.csv"]
    originals = {run / name: (run / name).read_bytes() for name in names}
    originals |= {promptnet / "config.json": (promptnet / "config.json").read_bytes()}
    originals |= {tmp_path / "claim.json": b'{"claim": "c", "findings": [], "weights": "", "code": "", "commit": ""}'}
    PhotoFolder(EXAMPLE.parent, size=64, indexes=tmp_path, echo=lambda text: None)
    index = next(tmp_path.glob("examples-*.json"))
    originals |= {index: index.read_bytes()}
    readers = [
        lambda: read_sides([run, made["no_fusion"]]),
        lambda: store.read_jsonl(run / "sittings.jsonl"),
        lambda: export_person.check_run(run, {"base": {}}),
        lambda: read_folder(promptnet),
        lambda: read_result(tmp_path / "claim.json"),
        lambda: photo_index(EXAMPLE.parent, tmp_path, decode=decode_picture, echo=lambda text: None),
    ]

    def read(drawn: tuple[Path, bytes]) -> None:
        path, content = drawn
        path.write_bytes(content)
        try:
            for reader in readers:
                ends(reader)
        finally:
            path.write_bytes(originals[path])

    paths = st.sampled_from(sorted(originals))
    tried(inputs, paths.flatmap(lambda path: st.tuples(st.just(path), damaged([originals[path]]))), read)


def pictures() -> list[bytes]:
    """A small picture in every format that is read, and some that are not."""
    found = [EXAMPLE.read_bytes()]
    for name in ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "ICO", "PPM"):
        data = io.BytesIO()
        Image.effect_noise((24, 20), 60).convert("RGB").save(data, name)
        found.append(data.getvalue())
    for mode in ("P", "LA", "I;16", "1", "CMYK"):
        data = io.BytesIO()
        Image.new(mode, (20, 20)).save(data, "TIFF" if mode == "CMYK" else "PNG")
        found.append(data.getvalue())
    return found


@sizes("pictures")
def test_pictures(tmp_path, inputs):
    path = tmp_path / "picture.png"

    def look(content: bytes) -> None:
        path.write_bytes(content)
        for reader in (lambda p: read_photo(p, 64), lambda p: [*Album([p]).decode([p])]):
            ends(partial(reader, path), str(path))

    tried(inputs, damaged(pictures()), look)


NAMES = st.sampled_from(
    ["a.png", "b.png", "fifo.png", "gone.png", "loop.png", "folder.png", "../a.png", "/", "", "é.png"]
)
CELLS = st.one_of(NAMES, st.sampled_from(["a", "b", "001", "1", "n" * 300, "x" * 200_000, "\0", "a/../b"]), ANYTHING)


@sizes("manifests")
def test_manifests(tmp_path, inputs):
    """Rows of strange cells, over folders that hold a pipe, links to nowhere and to themselves, and a folder."""
    images, photos = tmp_path / "images", tmp_path / "photos"
    for folder in (images, photos):
        folder.mkdir()
        for name in ("a.png", "b.png"):
            shutil.copy(EXAMPLE, folder / name)
        os.mkfifo(folder / "fifo.png")
        (folder / "gone.png").symlink_to("nowhere")
        (folder / "loop.png").symlink_to("loop.png")
        (folder / "folder.png").mkdir()
        (folder / "folder.png" / "inside").symlink_to(folder)

    def look(people: Path | None) -> None:
        scene = read_scene(images, people, echo=lambda text: None)
        Album([*scene.images, *scene.photos])

    def judge(rows: list[list[str]]) -> None:
        columns = ["file", "person", "prompt", "seed", "photo", "family"][: max(map(len, rows))]
        texts = [dict(zip(columns, row, strict=False)) for row in rows]
        store.write_csv(images / "manifest.csv", texts)
        for people in (photos, None):
            ends(partial(look, people))

    row = st.tuples(NAMES, CELLS, CELLS, CELLS, NAMES, CELLS).map(list) | st.lists(CELLS, min_size=1, max_size=6)
    tried(inputs, st.lists(row, min_size=1, max_size=3), judge)
