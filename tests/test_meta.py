"""Everything on the device of the base: on `meta`, which computes nothing, a tensor that was left on the CPU fails."""

import copy
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir

from src.data.augment import Augment
from src.data.masks import fixed_box
from src.harness import build
from src.harness.device import moved
from src.learning.changes import LowRank, Weights
from src.learning.class_images import ClassImages
from src.learning.e4t import TuneE4T
from src.learning.finetune import Finetune
from src.methods.drawing import Sampler
from src.methods.dreambooth import DreamBooth
from src.methods.e4t import EncoderTuning
from src.methods.profusion import ProFusion
from src.methods.textual_inversion import TextualInversion
from src.models.e4t import E4T
from src.models.inpainter import inpainter_of
from src.models.personal import PersonalNoise
from src.models.pipelines import pseudo_word
from src.models.promptnet import PromptNet
from src.models.random_base import random_base

CONF = Path(__file__).parents[1] / "conf"
META = torch.device("meta")
PROMPT = "a photo of S* wearing a red hat"
FADED = [{"prompt": "joint", "weight": "fusion", "faded": True}]
BOTH = [{"prompt": "joint", "weight": "joint"}, {"prompt": "generic", "weight": "text"}]


@pytest.fixture(scope="module")
def base(tiny_base):
    other = copy.copy(tiny_base)
    other._modules = {name: copy.deepcopy(part) for name, part in tiny_base._modules.items()}
    return moved(other, META)


@pytest.fixture(scope="module")
def promptnet(tiny_base):
    net = PromptNet.from_unet(tiny_base.unet, vision_width=48, text_width=32, pseudo_channels=4)
    return moved(net.requires_grad_(False).eval(), META)


@pytest.fixture
def photos():
    return torch.empty(3, 3, 64, 64, device=META)


def drawn(person, seeds=(0, 1)):
    images = person(PROMPT, list(seeds))
    assert images.device == META
    return tuple(images.shape)


@pytest.mark.parametrize("name", ["base", "mixed", "switching", "multi_stage", "fusion", "tiny_fusion"])
def test_every_sampler_draws_where_the_base_is(base, promptnet, photos, name):
    with initialize_config_dir(str(CONF), version_base="1.3"):
        sampler = build.build(compose("ablate", [f"sampler={name}", "sampler.steps=4"]).sampler)
    assert drawn(ProFusion(promptnet, sampler).learn(base, photos[:1])) == (2, 3, 64, 64)


@pytest.mark.parametrize("blend", ["position", "interpolate"])
def test_several_photos_are_blended_where_the_base_is(base, promptnet, photos, blend):
    how = {"steps": 2, "gamma": 0.5, "blend": blend, "guidance": {"fusion": 3.0, "joint": 2.0, "text": 1.0}}
    sampler = Sampler(**how, joint=FADED, separate=BOTH, eta=0.5)
    assert drawn(ProFusion(promptnet, sampler, shares=[1, 2, 1]).learn(base, photos)) == (2, 3, 64, 64)


@pytest.mark.parametrize(("prediction_type", "gradient_checkpointing"), [("epsilon", False), ("v_prediction", True)])
def test_a_person_is_learned_where_the_base_is(base, promptnet, photos, prediction_type, gradient_checkpointing):
    other = copy.copy(base)
    other.prediction_type = prediction_type
    finetune = Finetune(steps=2, lr=1e-3, batch=2, gradient_checkpointing=gradient_checkpointing)
    sampler = Sampler(steps=1, guidance={"joint": 2.0}, joint=[], separate=BOTH[:1], fusion_steps=0)
    method = ProFusion(promptnet, sampler, finetune)
    person = method.learn(other, photos[:2], variants=lambda p: p.repeat_interleave(2, 0), people=[0, 1])
    assert drawn(person) == (2, 3, 64, 64)


@pytest.mark.parametrize("blend", ["position", "interpolate"])
def test_a_word_is_learned_where_the_base_is(base, photos, blend):
    how = {"steps": 2, "gamma": 0.5, "blend": blend, "guidance": {"fusion": 3.0, "joint": 2.0, "text": 1.0}}
    sampler = Sampler(**how, joint=FADED, separate=BOTH)
    method = TextualInversion(sampler, steps=2, lr=1e-3, batch=2, templates=["a photo of S*", "S*"], words=2)
    method.check(base, [PROMPT], len(photos))
    assert drawn(method.learn(base, photos)) == (2, 3, 64, 64)


DREAMBOOTHS = [
    {"class_images": ClassImages(3, steps=1, batch=2)},
    {"prior": 0.0, "rank": 4, "gradient_checkpointing": True},
    {"prior": 0.0, "text_encoder": True},
]


@pytest.mark.parametrize("changes", DREAMBOOTHS)
def test_a_net_is_tuned_where_the_base_is(base, photos, changes):
    sampler = Sampler(steps=1, guidance={"joint": 2.0}, joint=[], separate=BOTH[:1], fusion_steps=0)
    method = DreamBooth(sampler, steps=2, lr=1e-3, batch=2, **changes)
    method.check(base, [PROMPT], len(photos))
    assert drawn(method.learn(base, photos)) == (2, 3, 64, 64)


def stable_diffusion_2(dtype):
    with initialize_config_dir(str(CONF), version_base="1.3"):
        node = build.plain(compose("train", ["world=sd2", "base=sd2_random", f"base.dtype={dtype}"]).base)
    return random_base(**{name: value for name, value in node.items() if name[0] != "_"}, device="meta")


@pytest.mark.slow
def test_at_stable_diffusion_2s_size_a_person_is_learned_and_drawn_where_the_base_is():
    base, photos = stable_diffusion_2("float32"), torch.empty(1, 3, 512, 512, device=META)
    sampler = Sampler(steps=1, guidance={"joint": 2.0}, joint=[], separate=BOTH[:1], fusion_steps=0)
    methods = [
        TextualInversion(sampler, steps=1, lr=1e-3, batch=1, templates=["a photo of S*"]),
        *(DreamBooth(sampler, steps=1, lr=1e-6, **changes) for changes in DREAMBOOTHS),
    ]
    for method in methods:
        method.check(base, [PROMPT], 1)
        assert drawn(method.learn(base, photos), [0]) == (1, 3, 512, 512)


@pytest.mark.parametrize("change", [Weights(("unet",)), Weights(("unet", "text_encoder")), LowRank(16, 0)])
def test_at_stable_diffusion_2s_size_what_is_trained_is_float32_and_what_is_kept_the_bases(change):
    base = stable_diffusion_2("bfloat16")
    own, trained = change.begin(base)
    assert {each.dtype for each in trained} == {torch.float32}
    assert own.unet.dtype == (torch.bfloat16 if isinstance(change, LowRank) else torch.float32)
    kept = change.kept(base, own)
    assert {each.dtype for each in kept.values()} == {torch.bfloat16}
    assert sum(each.numel() for each in kept.values()) == sum(each.numel() for each in trained)
    assert {each.dtype for each in change.restored(base, kept).parameters()} == {torch.bfloat16}
    assert {each.dtype for each in base.parameters()} == {torch.bfloat16}


def test_variants_are_painted_where_the_photo_is(base, photos):
    """The mask is looked at before, on the CPU, and follows the photo."""
    (mask,) = fixed_box(photos[:1], "ada", [])
    paint = inpainter_of(base, steps=2)
    variants = Augment(prompts=["a photo of a person", "a red hat"], count=3, batch=2)(photos[0], mask, paint)
    assert (variants.device, tuple(variants.shape)) == (META, (4, 3, 64, 64))


def test_a_word_is_exported_from_where_the_base_is(base, promptnet, photos):
    assert pseudo_word(base, promptnet, photos[0], timestep=300).device == META


def test_a_photo_that_was_left_on_the_cpu_fails(base, promptnet):
    with pytest.raises(RuntimeError, match="device"):
        PersonalNoise(base, promptnet, torch.zeros(1, 3, 64, 64))


@pytest.mark.parametrize("size", ["tiny", "sd2"])
def test_e4t_learns_and_draws_where_the_base_is(base, photos, size):
    """At Stable Diffusion 2's architecture in its precision, too."""
    if size == "sd2":
        with initialize_config_dir(str(CONF), version_base="1.3"):
            base = build.build(compose("train", ["base=sd2_random"]).base, device="meta")
        photos = torch.empty(1, 3, 512, 512, device=META)
    widths = {"vision_width": base.image_encoder.config.hidden_size, "text_width": base.text_encoder.config.hidden_size}
    with META:
        e4t = E4T.from_unet(base.unet, **widths).requires_grad_(False)
    tune = TuneE4T(steps=1, lr=1e-3, penalty=0.1, batch=2)
    sampler = Sampler(steps=1, guidance={"joint": 2.0}, joint=[], separate=BOTH[:1], fusion_steps=0)
    tuned = tune(base, e4t, photos[:1])
    assert {(each.dtype, each.device) for each in tuned.parameters()} == {(torch.float32, META)}
    edge = photos.shape[-1]
    assert drawn(EncoderTuning(tuned, sampler).learn(base, photos[:1])) == (2, 3, edge, edge)
