"""A method says what it takes before anything is loaded: held against what it takes once it is."""

import copy

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from src.learning.e4t import TuneE4T
from src.learning.finetune import Finetune
from src.learning.steps import training_bytes
from src.methods.drawing import Sampler
from src.methods.dreambooth import DreamBooth
from src.methods.e4t import EncoderTuning
from src.methods.method import Footprint
from src.methods.profusion import ProFusion
from src.methods.prompt_only import PromptOnly
from src.methods.textual_inversion import TextualInversion
from src.models.base import load_base
from src.models.e4t import E4T
from src.models.promptnet import PromptNet

BASE = Sampler(
    steps=1, guidance={"joint": 4.0}, joint=[], separate=[{"prompt": "joint", "weight": "joint"}], fusion_steps=0
)
PARTS = ("unet", "vae", "text_encoder", "image_encoder")
TRAINED = {"steps": 1, "lr": 1e-3}
TUNED = {**TRAINED, "batch": 3}


def shells(base):
    return {part: copy.deepcopy(getattr(base, part)).to("meta") for part in PARTS}


def profusion(base, folder, **how):
    net = PromptNet.from_unet(base.unet, vision_width=48, text_width=32).requires_grad_(False)
    return ProFusion(net, BASE, Finetune(**how))


def e4t(base, folder, **how):
    net = E4T.from_unet(base.unet, vision_width=48, text_width=32, width=16).requires_grad_(False)
    net.save(folder)
    return EncoderTuning(net, BASE, TuneE4T(penalty=0.1, **how))


def settings_of(folder):
    """(how the method is made, its settings as conf/method/NAME.yaml has them)"""
    word = {**TUNED, "words": 2, "templates": ["a photo of S*"]}
    net = {**TUNED, "prior": 0.0}
    return {
        "profusion": (profusion, TUNED, {"finetune": TUNED}),
        "e4t": (e4t, TUNED, {"finetune": TUNED, "e4t": {"folder": str(folder)}}),
        "word": (lambda base, folder, **how: TextualInversion(BASE, **how), word, word),
        "net": (lambda base, folder, **how: DreamBooth(BASE, **how), net, net),
        "net and text": (lambda base, folder, **how: DreamBooth(BASE, **how), *[{**net, "text_encoder": True}] * 2),
        "lora": (lambda base, folder, **how: DreamBooth(BASE, **how), *[{**net, "rank": 2}] * 2),
    }


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", ["profusion", "e4t", "word", "net", "net and text", "lora"])
def test_a_method_says_what_it_keeps_and_how_many_photos_pass_the_net(tiny_base_folder, tmp_path, name, dtype):
    base, (make, how, settings) = load_base(tiny_base_folder, dtype=dtype), settings_of(tmp_path / "e4t")[name]
    method, rows = make(base, tmp_path / "e4t", **how), []
    said = type(method).footprint(settings, shells(base))
    file = tmp_path / "people" / "key" / "ada.safetensors"
    seen = nn.modules.module.register_module_forward_pre_hook(
        lambda module, args: rows.append(len(args[0])) if type(module).__name__ == "UNet2DConditionModel" else None
    )
    method.learn(base, torch.zeros(1, 3, 64, 64), file)
    seen.remove()
    kept = load_file(file).values()
    assert said.kept == sum(value.numel() * value.element_size() for value in kept)
    assert set(rows) == {said.photos} == {3}
    bent = said.drawing - said.held if name == "e4t" else 0
    trained = torch.float32 if name in ("e4t", "word") else base.unet.dtype
    assert said.learning == training_bytes(sum(value.numel() for value in kept), trained) + bent


def test_training_holds_a_weight_its_gradient_and_two_moments_and_beside_a_half_base_its_half():
    for dtype, each in ((torch.float32, 16), (torch.bfloat16, 18), (torch.float64, 32)):
        assert training_bytes(10, dtype) == 10 * each


def test_nobody_is_learned_where_somebody_was_given_or_the_prompt_is_all(tiny_base):
    parts = shells(tiny_base)
    assert PromptOnly.footprint({}, parts) == Footprint()
    assert DreamBooth.footprint({"lora": "a.safetensors", "batch": 1, "rank": None}, parts) == Footprint()
    assert TextualInversion.footprint({"embedding": "a.safetensors", "batch": 1}, parts) == Footprint()
    assert ProFusion.footprint({"finetune": None}, parts).photos == 0


def test_class_images_are_as_many_photos_again(tiny_base):
    parts = shells(tiny_base)
    photos = [DreamBooth.footprint({"batch": 3, "prior": prior}, parts).photos for prior in (0.0, 0.5)]
    assert photos == [3, 6]
