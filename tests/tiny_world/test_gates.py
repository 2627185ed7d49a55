"""Gates by number: rows and their table, what is asked of whom, and what is refused."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest
import yaml

from src.models.base import TextToImage
from src.tiny_world.base_sampling import GUIDANCE, PROMPT
from src.tiny_world.gates.gate import gate, print_gates
from src.tiny_world.gates.measure import World, run_gates
from src.tiny_world.gates.words import JOINT, WORDS
from src.tiny_world.photos import asked_values
from src.tiny_world.renderer import captions

CONF = Path(__file__).parents[2] / "conf"


def test_a_gate_holds_at_its_bound_and_not_beyond() -> None:
    assert gate(1, "a", 26.0, 26.0, {}).held and not gate(1, "a", 25.9, 26.0, {}).held
    assert gate(4, "b", 0.6, 0.6, {}, at_least=False).held and not gate(4, "b", 0.61, 0.6, {}, at_least=False).held
    with pytest.raises(ValueError, match=r"gate 7 \(c\) measured nan"):
        gate(7, "c", float("nan"), 0.9, {})


def test_the_table_says_what_is_missed_and_what_would_reach_it() -> None:
    text = print_gates([gate(1, "VAE: PSNR, dB", 27.0, 26.0, {}), gate(4, "gamma", 0.8, 0.6, {}, at_least=False)])
    assert "≥ 26.000  held" in text and "≤ 0.600  MISSED" in text and "1 of 2 are held" in text
    assert "What would reach gate 4" in text and "blend=interpolate" in text and "reach gate 1" not in text


def test_what_is_only_told_is_neither_held_nor_missed() -> None:
    told = gate(5, "words", 1.1, None, {}, at_least=False)
    text = print_gates([told, gate(1, "VAE: PSNR, dB", 27.0, 26.0, {})])
    assert told.held and "1.100           told" in text and "1 of 1 are held" in text and "would reach" not in text


def test_the_gates_say_nothing_that_an_evaluation_prompt_asks_for() -> None:
    families = yaml.safe_load((CONF / "prompt_set" / "tiny.yaml").read_text())
    evaluated = asked_values(prompt for prompts in families.values() for prompt in prompts)
    said = [*JOINT, *(f"{PROMPT} {words}" for words in WORDS)]
    for prompt in said:
        assert not set(captions.asked_for(prompt).values()) & evaluated - {"photo"}, prompt
        assert len(captions.asked_for(prompt)) > 1
        assert set(prompt.replace("S*", "").split()) <= set(captions.WORDS)


def test_gates_run_by_number_and_refuse_what_is_not_there(tiny_base: TextToImage) -> None:
    told: list[str] = []
    world = World(tiny_base, [], [])
    with pytest.raises(ValueError, match="there is no gate 10"):
        run_gates(world, [10])
    with pytest.raises(ValueError, match="gate 0 needs the names"):
        run_gates(world, [0])
    with pytest.raises(ValueError, match="gate 7 needs a PromptNet"):
        run_gates(world, [1, 7], echo=told.append)
    assert not told  # before any is measured
    rows = run_gates(world, [1], echo=told.append)
    assert [row.number for row in rows] == [1, 1, 1] and len(told) == 1
    json.dumps([asdict(row) for row in rows], allow_nan=False)


def test_gates_look_with_the_guidance_that_was_chosen_for_base_sampling() -> None:
    chosen = yaml.safe_load((CONF / "sampler" / "tiny_base.yaml").read_text())
    assert chosen["guidance"] == {"joint": GUIDANCE}
