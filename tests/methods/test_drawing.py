"""Shortcuts of whoever is drawn: what is held, what is evaluated, and that neutral values draw the same picture."""

from dataclasses import replace

import pytest
import torch

from src.methods.drawing import Sampler
from src.methods.profusion import ProFusion
from src.models.base import load_base
from src.models.personal import PersonalNoise
from src.models.promptnet import PromptNet
from src.models.recording import DeepReuse
from src.sampling import NULL, Condition, Shortcuts

JOINT = [{"prompt": "joint", "weight": "fusion", "faded": True}]
SEPARATE = [{"prompt": "joint", "weight": "joint"}, {"prompt": "generic", "weight": "text"}]
GUIDANCE = {"fusion": 3.0, "joint": 2.0, "text": 1.5}
PROMPT = "a photo of S* wearing a red hat"


@pytest.fixture(scope="module")
def promptnet(tiny_base):
    torch.manual_seed(1)
    return PromptNet.from_unet(tiny_base.unet, vision_width=48, text_width=32, pseudo_channels=4)


@pytest.fixture(scope="module")
def draw(tiny_base, promptnet):
    """shortcuts, other settings of the sampler -> a person, who has drawn, and the picture."""
    photo = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(2)) * 2 - 1
    rows = {"joint": JOINT, "separate": SEPARATE, "closing": [{"prompt": "joint", "weight": 1.0}]}
    sampler = Sampler(steps=6, guidance=GUIDANCE, gamma=0.6, blend="interpolate", **rows)

    def drawn(shortcuts=None, **changes):
        own = replace(sampler, shortcuts=Shortcuts(**shortcuts or {}), **changes)
        person = ProFusion(promptnet, own).learn(tiny_base, photo)
        return person, person([PROMPT, "a pencil sketch of S*"], [3, 4])

    return drawn


@pytest.mark.parametrize(
    ("shortcuts", "changes", "unet", "shallow", "words", "texts"),
    [
        ({}, {}, 30, 0, 12, 12),
        ({"word_every": 1}, {}, 30, 0, 6, 6),
        ({"word_every": 4}, {}, 30, 0, 2, 2),
        ({"fusion_eps": "previous"}, {}, 20, 0, 7, 7),
        ({"fusion_interval": [0.45, 1.0]}, {}, 24, 0, 9, 9),
        ({"deep_every": 2}, {}, 30, 15, 12, 12),
        ({"deep_every": 3, "guidance_every": 3}, {}, 18, 8, 12, 12),
        ({}, {"closing_share": 0.5}, 18, 0, 9, 9),
        ({}, {"closing_share": 0.5, "opening_share": 0.5, "opening": SEPARATE[1:]}, 9, 0, 3, 3),
        ({"word_every": 2, "guidance_every": 2, "fusion_eps": "previous"}, {}, 5 + 2 * 3 + 3, 0, 3, 3),
    ],
)
def test_what_is_evaluated(draw, shortcuts, changes, unet, shallow, words, texts):
    person, images = draw(shortcuts, **changes)
    noise = person.noise
    assert torch.isfinite(images).all()
    assert (noise.unet_evaluations, noise.shallow_evaluations) == (unet, shallow)
    assert (noise.promptnet_evaluations, noise.text_evaluations) == (words, texts)


def test_the_networks_are_called_as_often_as_is_counted(draw, tiny_base, promptnet):
    calls = dict.fromkeys(("unet", "promptnet", "text"), 0)

    def counts(name):
        def count(module, args, kwargs=None):
            calls[name] += len(args[0])

        return count

    parts = {"unet": tiny_base.unet, "promptnet": promptnet, "text": tiny_base.text_encoder}
    hooks = [part.register_forward_pre_hook(counts(name)) for name, part in parts.items()]
    person, _ = draw({"word_every": 2, "fusion_every": 2, "deep_every": 2})
    for hook in hooks:
        hook.remove()
    noise = person.noise
    assert calls["unet"] == 2 * (noise.unet_evaluations - noise.shallow_evaluations)
    assert calls["promptnet"] == 2 * noise.promptnet_evaluations
    assert calls["text"] == 2 * noise.text_evaluations + 3  # the empty text and two generic prompts, once


@pytest.mark.parametrize("shortcuts", [{"word_every": 9}, {"deep_every": 9}, {"guidance_every": 9}])
def test_nothing_is_held_from_one_picture_to_the_next(draw, shortcuts):
    person, images = draw(shortcuts)
    again = person([PROMPT, "a pencil sketch of S*"], [3, 4])
    torch.testing.assert_close(again, images)
    assert person.unet_evaluations == person.noise.unet_evaluations <= 30


@pytest.mark.parametrize(
    "shortcuts",
    [
        {"word_every": 3},
        {"deep_every": 2},
        {"guidance_every": 2, "deep_every": 2, "word_every": 2},
        {"fusion_eps": "previous"},
        {"precision": "bfloat16"},
    ],
)
def test_a_shortcut_changes_the_picture_a_little_and_not_by_its_batch(draw, shortcuts):
    (_, exact), (person, found) = draw(), draw(shortcuts)
    assert 0 < (found - exact).norm() < 0.5 * exact.norm()
    alone = person("a pencil sketch of S*", [4])
    loose = 2e-2 if "precision" in shortcuts else 1e-4
    torch.testing.assert_close(alone[0], found[1], atol=loose, rtol=loose)


def test_a_precision_leaves_nothing_behind_for_the_next(draw):
    (_, exact), (person, _) = draw(), draw({"precision": "bfloat16"})
    person.sampler = replace(person.sampler, shortcuts=Shortcuts())
    torch.testing.assert_close(person([PROMPT, "a pencil sketch of S*"], [3, 4]), exact)


@torch.no_grad()
def test_deep_levels_of_the_same_call_are_those_of_the_whole_network(tiny_base):
    net, x = DeepReuse(tiny_base.unet), torch.randn(3, *tiny_base.latent_shape)
    given = x, torch.tensor(300), tiny_base.text(["a red hat", "a crown", ""])
    whole = net(*given).sample
    torch.testing.assert_close(whole, tiny_base.unet(*given).sample)
    torch.testing.assert_close(net(*given).sample, whole)
    flawed = net.deep
    net.deep = torch.zeros_like(flawed)
    assert not torch.allclose(net(*given).sample, whole)


def test_deep_levels_are_held_on_a_base_in_half_precision(tiny_base_folder, promptnet):
    base = load_base(tiny_base_folder, dtype="bfloat16")
    how = {"steps": 3, "guidance": {"joint": 2.0}, "fusion_steps": 0, "shortcuts": Shortcuts(deep_every=2)}
    sampler = Sampler(joint=[], separate=[{"prompt": "joint", "weight": "joint"}], **how)
    person = ProFusion(promptnet, sampler).learn(base, torch.zeros(1, 3, 64, 64))
    assert person(PROMPT, [0]).isfinite().all()
    assert person.noise.shallow_evaluations == 2


def test_each_stage_has_deep_levels_of_its_own(tiny_base, promptnet):
    noise = PersonalNoise(tiny_base, promptnet, torch.zeros(1, 3, 64, 64))
    noise.begin(Shortcuts(deep_every=2))
    joint, own = Condition(PROMPT, 0, 0.6), Condition(PROMPT, 0)
    with torch.no_grad():
        for step in range(2):
            t = torch.tensor(500 - step)
            noise(torch.randn(1, *tiny_base.latent_shape), t, [NULL, joint])
            noise(torch.randn(1, *tiny_base.latent_shape), t, [NULL, own])
    assert (noise.unet_evaluations, noise.shallow_evaluations) == (8, 4)
    assert len(noise._deep) == 4


def test_recorded_calls_hold_nothing(tiny_base, promptnet):
    noise = PersonalNoise(tiny_base, promptnet, torch.zeros(1, 3, 64, 64))
    noise.base.recorded = True
    try:
        with pytest.raises(ValueError, match="word_every and deep_every hold what a recorded call makes anew"):
            noise.begin(Shortcuts(deep_every=2))
    finally:
        noise.base.recorded = False


@pytest.mark.parametrize(
    ("shortcuts", "changes", "message"),
    [
        ({"fusion_interval": [0.01, 0.02]}, {}, r"fusion_interval \(\[0.01, 0.02\]\) holds none of the 6 timesteps"),
        ({"solver": "dpmpp_2m"}, {"eta": 0.1}, "must be 0 with solver dpmpp_2m"),
        ({}, {"opening": SEPARATE, "opening_share": 0.6, "closing_share": 0.6}, r"\(0.6 and 0.6\) must not be more"),
        ({}, {"closing": [], "closing_share": 0.6}, "sampler.closing has no row"),
    ],
)
def test_settings_that_do_not_fit_are_named_before_anything_is_evaluated(draw, tiny_base, shortcuts, changes, message):
    hook = tiny_base.unet.register_forward_pre_hook(lambda *args: pytest.fail("evaluated"))
    try:
        with pytest.raises(ValueError, match=message):
            draw(shortcuts, **changes)
    finally:
        hook.remove()
