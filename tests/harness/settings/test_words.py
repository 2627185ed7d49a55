"""What a shell hands over reaches a command as it was typed; lists keep Hydra's form."""

from functools import partial

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from src.harness import build, compose
from src.harness.settings import schema
from src.harness.settings.words import for_hydra, literal, quoted

# no NUL: a shell cannot hand it over
TEXTS = st.text(st.one_of(st.sampled_from("\\'\"[]{}(),=: $~*#\n\t"), st.characters(exclude_categories=["Cs", "Cc"])))
NAMES = [
    "me (1).png",
    "Zoë.png",
    "Zoë.png",
    "Ada's.png",
    "a=b.png",
    'the "best".png',
    "a,b.png",
    "[draft] me.png",
    "{a: 1}.png",
    "100%.png",
    "#1.png",
    "~me.png",
    "$HOME.png",
    "a:b.png",
    "a&b;c.png",
    "C:\\me\\",
    "猫.png",
    "😀.png",
    " me.png ",
    "2024",
    "true",
    "1e5",
    "nan",
    "-me.png",
    "?.png",
    "me!.png",
    "a@b.png",
    "x/../me.png",
    "me\nyou.png",
]
PROMPTS = [
    "a photo of S*, smiling",
    "a photo of S* (at the beach)",
    "S* as a 'hero'",
    '"S*", she said',
    "[S*] in brackets",
    "S* = me",
    "S*: a portrait",
    "a {red|blue} S*",
    "50% S*",
]


def typed(command, *words):
    return for_hydra(words, partial(schema.kind_of, command=command))


def value(command, word):
    return OverridesParser.create().parse_override(typed(command, word)[0]).value()


@pytest.mark.parametrize("name", NAMES)
def test_a_file_name_reaches_its_setting_as_it_was_typed(name):
    assert compose.composed("import_official", [f"folder={name}"]).folder == name
    for setting in ("photo", "runs", "world.weights", "promptnet.folder", "sampler.generic"):
        assert value("personalise", f"{setting}={name}") == name


@pytest.mark.parametrize("prompt", PROMPTS)
def test_a_prompt_reaches_its_setting_as_it_was_typed(prompt):
    assert value("personalise", f"prompts={prompt}") == prompt


@pytest.mark.parametrize(
    ("command", "setting"),
    [
        ("evaluate", "images"),
        ("evaluate", "photos"),
        ("evaluate", "manifest"),
        ("evaluate", "real"),
        ("evaluate", "anchors.oracle"),
        ("evaluate", "system"),
        ("train", "data.train.folder"),
        ("export_person", "run"),
        ("export_person", "out"),
        ("import_official", "folder"),
        ("human_eval", "kit"),
        ("human_eval", "questions.text"),
        ("compare", "reference"),
        ("dashboard", "name"),
        ("claims", "experiments"),
    ],
)
def test_so_does_every_path_and_name_of_every_command(command, setting):
    world = ["world=sd2"] if command == "train" else []
    cfg = compose.composed(command, [*world, f"{setting}=Ada's [1], (a=b) Zoë"])
    for part in setting.split("."):
        cfg = cfg[part]
    assert cfg == "Ada's [1], (a=b) Zoë"


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("prompts=['a, b','c']", ["a, b", "c"]),
        ('prompts=["a photo of S* at the beach"]', ["a photo of S* at the beach"]),
        ("photo=[a.png,b.png]", ["a.png", "b.png"]),
        ("photo='me (1).png'", "me (1).png"),
        ("photo=${world.name}.png", "tiny.png"),
        ("prompts=S* for ${5}", "S* for ${5}"),
        ("prompts=S* at ${oc.env:HOME} ${", "S* at ${oc.env:HOME} ${"),
        ("augmentation=null", None),
        ("seeds=3", 3),
    ],
)
def test_hydras_own_forms_stay(word, meant):
    assert build.plain(compose.composed("personalise", [word]))[word.partition("=")[0]] == meant


def test_a_file_that_is_there_is_meant_whatever_its_name_looks_like(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("[a].png", "'b'", "null", "${c}.png", "[d,e]"):
        (tmp_path / name).touch()
        assert build.plain(compose.composed("personalise", [f"photo={name}"]))["photo"] == name


def test_several_values_are_swept_over_only_where_that_was_asked_for():
    assert typed("personalise", "-m", "photo=a.png,b.png")[1] == "photo=a.png,b.png"
    assert typed("personalise", "photo=a.png,b.png") == ["photo='a.png,b.png'"]


def test_words_that_set_nothing_are_gathered_whatever_is_in_them(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a=b.csv").touch()
    words = ["score", "a=b.csv", "Ada's (1).csv", "[x]", "x" * 300, "noun=this (one)"]
    cfg = compose.composed("human_eval", words)
    assert list(cfg.words) == words[:-1]
    assert cfg.noun == "this (one)"


def test_a_list_that_is_none_is_refused_with_its_form():
    with pytest.raises(ValueError, match=r"prompts=\[a \(b\), c\] cannot be read as a setting: .* in quotes"):
        compose.composed("personalise", ["prompts=[a (b), c]"])


@settings(max_examples=200)
@given(TEXTS)
def test_quoting_loses_nothing(text):
    value = OverridesParser.create().parse_override(f"x={literal(text)}").value()
    assert OmegaConf.to_container(OmegaConf.create({"x": value}), resolve=True) == {"x": text}
    assert "${" in text or OverridesParser.create().parse_override(f"x={quoted(text)}").value() == text
