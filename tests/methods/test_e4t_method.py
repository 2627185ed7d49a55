"""E4T as a method: which samplers run, what a step costs, what is refused, and what is kept."""

import pytest
import torch
from hydra import compose, initialize_config_dir
from torch import nn

from src import personalise
from src.harness.build import build
from src.harness.compose import CONF, PACKAGE
from src.learning.e4t import TuneE4T
from src.methods.drawing import Sampler
from src.methods.e4t import EncoderTuning
from src.models.base import load_base
from src.models.digest import base_digest
from src.models.e4t import E4T
from tests.conftest import write_base

PROMPT = "a photo of S* wearing a red hat"
JOINT = [{"prompt": "joint", "weight": "fusion", "faded": True}]
SEPARATE = [{"prompt": "joint", "weight": "joint"}, {"prompt": "generic", "weight": "text"}]
GUIDANCE = {"fusion": 3.0, "joint": 2.0, "text": 1.5}
PHOTO = PACKAGE / "tiny_world" / "examples" / "person-300000.png"


def sampler(**changes) -> Sampler:
    return Sampler(**{"steps": 2, "joint": JOINT, "separate": SEPARATE, "guidance": GUIDANCE, **changes})


@pytest.fixture(scope="module")
def e4t(tiny_base):
    torch.manual_seed(5)
    net = E4T.from_unet(tiny_base.unet, vision_width=48, text_width=32, width=16)
    for offset in net.weight_offsets:
        nn.init.normal_(offset.column, std=0.05)
    net.config["base"] = base_digest(tiny_base)
    return net.requires_grad_(False)


@pytest.fixture(scope="module")
def photos():
    return torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(2)) * 2 - 1


@pytest.mark.parametrize(
    ("changes", "per_step"),
    [
        ({}, 5 + 2),  # S* is made in the fusion and in the refinement stage
        ({"fusion_steps": 0}, 3 + 1),
        ({"fusion_steps": 0, "separate": SEPARATE[:1]}, 2 + 1),
        ({"fusion_steps": 0, "separate": SEPARATE[1:]}, 2),  # no S*, no features
    ],
)
def test_the_encoders_pass_is_counted_as_an_evaluation(tiny_base, e4t, photos, changes, per_step):
    person = EncoderTuning(e4t, sampler(**changes)).learn(tiny_base, photos[:1])
    person(PROMPT, [0])
    assert person.unet_evaluations == 2 * per_step


@pytest.mark.parametrize("name", ["base", "mixed", "switching", "multi_stage", "fusion", "tiny_fusion"])
def test_every_sampler_of_the_harness_runs_with_it(tiny_base, e4t, photos, name):
    with initialize_config_dir(str(CONF), version_base="1.3"):
        own = build(compose("ablate", [f"sampler={name}", "sampler.steps=3"]).sampler)
    image = EncoderTuning(e4t, own).learn(tiny_base, photos[:1])(PROMPT, [3])
    assert image.shape == (1, 3, 64, 64) and image.isfinite().all()


def test_an_image_does_not_depend_on_its_batch(tiny_base, e4t, photos):
    person = EncoderTuning(e4t, sampler()).learn(tiny_base, photos[:1])
    together, alone = person([PROMPT, "S* in the snow"], [5, 6]), person("S* in the snow", [6])
    assert torch.allclose(together[1], alone[0], atol=1e-4)


def test_photos_share_the_weights_of_their_person(tiny_base, e4t, photos):
    twice = EncoderTuning(e4t, sampler()).learn(tiny_base, photos[:1].repeat(2, 1, 1, 1))
    once = EncoderTuning(e4t, sampler()).learn(tiny_base, photos[:1])
    torch.testing.assert_close(twice(PROMPT, [2]), once(PROMPT, [2]), atol=1e-4, rtol=1e-4)
    assert twice.unet_evaluations == 2 * (2 + 3 + 2 * 2 + 2)


def test_what_was_learned_comes_back_from_its_file(tiny_base, e4t, photos, tmp_path):
    method = EncoderTuning(e4t, sampler(), TuneE4T(steps=2, lr=1e-2, penalty=0.1, batch=2))
    keep = tmp_path / "people" / "anna.safetensors"
    learned = method.learn(tiny_base, photos[:1], keep=keep)
    stamp = keep.stat().st_mtime_ns
    again = method.learn(tiny_base, photos[:1], keep=keep)
    assert keep.stat().st_mtime_ns == stamp
    assert torch.equal(learned(PROMPT, [3]), again(PROMPT, [3]))
    untuned = EncoderTuning(e4t, sampler()).learn(tiny_base, photos[:1])
    assert not torch.allclose(learned(PROMPT, [3]), untuned(PROMPT, [3]))


def test_half_a_base_draws_what_a_whole_one_does(tiny_base_folder, e4t, photos):
    tune, images = TuneE4T(steps=2, lr=1e-3, penalty=0.1, batch=2), []
    for dtype in ("float32", "bfloat16"):
        base = load_base(tiny_base_folder, dtype=dtype)
        images.append(EncoderTuning(e4t, sampler(), tune).learn(base, photos[:1])(PROMPT, [1]))
    assert (images[1] - images[0]).norm() < 0.05 * images[0].norm()


def test_a_prompt_or_weights_that_cannot_be_used_are_refused_before_anything_is_learned(tiny_base, e4t, tmp_path):
    method = EncoderTuning(e4t, sampler())
    method.check(tiny_base, [PROMPT], 1)
    with pytest.raises(ValueError, match=r"holds the placeholder S\* 0 times"):
        method.check(tiny_base, ["a photo of a person"], 1)
    with pytest.raises(ValueError, match="these E4T weights are of another base"):
        method.check(load_base(write_base(tmp_path / "other", seed=1)), [PROMPT], 1)
    tune = TuneE4T(steps=1, lr=1e-3, penalty=0.1, prompt="a photo of a person")
    with pytest.raises(ValueError, match=r"must hold the placeholder S\*"):
        EncoderTuning(e4t, sampler(), tune).check(tiny_base, [PROMPT], 1)


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["method.e4t.folder=nowhere"], "(nowhere): train one with `python -m src.train +experiment=tiny_e4t`"),
        (["method.finetune.penalty=-1"], "method.finetune.penalty (-1) must be a number of 0 or more"),
        (["prompts=a photo of a person"], "holds the placeholder S* 0 times"),
        ([], "these E4T weights are of another base"),
    ],
)
def test_a_command_says_it_in_one_sentence(typed, tmp_path, e4t, words, complaint):
    e4t.save(tmp_path / "e4t")
    how = [f"photo={PHOTO}", "method=tiny_e4t", f"method.e4t.folder={tmp_path / 'e4t'}", "logger=disabled"]
    status, _, complained = typed(personalise, *how, *words)
    assert status == 1
    assert complaint in complained
    assert not (tmp_path / "runs").exists()


def test_the_shipped_one_is_of_the_shipped_base_and_learns_somebody(typed, tmp_path):
    assert sum(path.stat().st_size for path in (PACKAGE / "tiny_world" / "weights" / "e4t").iterdir()) < 2e6
    quick = ["method.finetune.steps=1", "method.finetune.batch=1", "sampler.steps=2", "seeds=1", "logger=disabled"]
    status, _, complained = typed(personalise, f"photo={PHOTO}", "method=tiny_e4t", *quick)
    assert status == 0, complained
    assert len(list((tmp_path / "runs").rglob("*.safetensors"))) == 1
