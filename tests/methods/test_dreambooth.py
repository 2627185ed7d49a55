"""DreamBooth is fine-tuning of a copy under a rare name, its class held on to, or a LoRA that diffusers reads."""

import copy
from dataclasses import replace

import pytest
import torch
from diffusers import StableDiffusionPipeline
from diffusers.utils import convert_state_dict_to_diffusers
from peft import LoraConfig, get_peft_model_state_dict
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from src.diffusion import add_noise, denoising_loss
from src.files.whole import record, sha256_of
from src.learning.class_images import ClassImages
from src.learning.pretrain import draws_for
from src.methods.drawing import Sampler
from src.methods.dreambooth import DreamBooth
from src.methods.method import Sharing
from src.models.pipelines import scheduler_of
from src.models.random_base import clip_tokenizer
from src.sampling import seeded_randn_like

PROMPT = "a photo of S* wearing a red hat"
THEIRS = "a photo of sks person wearing a red hat"
BASE = Sampler(
    steps=3, guidance={"joint": 4.0}, joint=[], separate=[{"prompt": "joint", "weight": "joint"}], fusion_steps=0
)
FEW = ClassImages(number=3, steps=2, guidance=2.0, batch=2)


def method(**changes) -> DreamBooth:
    return DreamBooth(**{"sampler": BASE, "steps": 3, "lr": 1e-3, "prior": 0.0, **changes})


def of_precision(base, dtype):
    other = copy.copy(base)
    other._modules = {name: copy.deepcopy(part).to(dtype) for name, part in base._modules.items()}
    return other


def pipeline_of(base) -> StableDiffusionPipeline:
    return StableDiffusionPipeline(
        vae=base.vae,
        text_encoder=base.text_encoder,
        tokenizer=base.tokenizer,
        unet=copy.deepcopy(base.unet),
        scheduler=scheduler_of(base),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def drawn_by_diffusers(pipeline, base, seed) -> torch.Tensor:
    latents = seeded_randn_like([seed])(torch.empty(1, *base.latent_shape))
    made = pipeline(THEIRS, num_inference_steps=3, guidance_scale=4.0, latents=latents, output_type="pt")
    return made.images * 2 - 1


@pytest.fixture(scope="module")
def photos():
    return torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(2)) * 2 - 1


@pytest.mark.parametrize("prior", [0.0, 0.7])
def test_learning_is_plain_fine_tuning_and_the_class_images_loss_beside_it(tiny_base, photos, tmp_path, prior):
    """A loop in which every photo is shown in a U-Net call of its own."""
    file = tmp_path / "people" / "key" / "ada.safetensors"
    learned = method(batch=2, prior=prior, class_images=FEW).learn(tiny_base, photos, file).base.unet
    assert (tmp_path / "class_images").exists() == (prior > 0)
    unet = copy.deepcopy(tiny_base.unet).requires_grad_(True)
    reference = copy.copy(tiny_base)
    reference._modules = {**tiny_base._modules, "unet": unet}
    optimizer = torch.optim.AdamW(unet.parameters(), lr=1e-3, weight_decay=0.01)
    shown = [("a photo of sks person", photos, 1.0)]
    if prior:
        shown.append(("a photo of a person", FEW(tiny_base, "a photo of a person"), prior))
    for step in range(3):
        optimizer.zero_grad()
        for part, (prompt, images, weight) in enumerate(shown):
            draws = draws_for(tiny_base, 0, step, range(2 * part, 2 * part + 2), low_third=1 / 3, device=photos.device)
            for k in range(2):
                image = images[[(2 * step + k) % len(images)]]
                mean, std = tiny_base.posterior(image)
                eps, t, z = (draws[name][[k]] for name in ("eps", "t", "z_target"))
                x_t = add_noise(mean + std * z, eps, t, tiny_base.noise_levels)
                (weight * denoising_loss(reference.predict_noise(x_t, t, tiny_base.text(prompt)), eps) / 2).backward()
        optimizer.step()
    for (name, mine), theirs in zip(learned.named_parameters(), unet.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs.detach(), rtol=1e-3, atol=2e-4, msg=lambda m, n=name: f"{n}: {m}")
    moved = torch.cat(
        [(a - b).flatten() for a, b in zip(learned.parameters(), tiny_base.unet.parameters(), strict=True)]
    )
    other = torch.cat([(a - b).flatten() for a, b in zip(unet.parameters(), tiny_base.unet.parameters(), strict=True)])
    assert torch.cosine_similarity(moved, other, dim=0) > 0.999


@pytest.mark.parametrize(("changes", "parts"), [({}, {"unet"}), ({"text_encoder": True}, {"unet", "text_encoder"})])
def test_the_base_stays_as_it_is_and_a_copy_is_learned(tiny_base, photos, changes, parts):
    before = {name: value.clone() for name, value in tiny_base.state_dict().items()}
    own = method(**changes).learn(tiny_base, photos).base
    assert all(torch.equal(value, before[name]) for name, value in tiny_base.state_dict().items())
    assert all(each.grad is None and not each.requires_grad for each in (*tiny_base.parameters(), *own.parameters()))
    changed = {name.split(".")[0] for name, value in own.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == parts
    assert not own.unet.training


def test_the_prompt_is_read_with_identifier_and_noun(tiny_base, photos):
    """And drawn as stock diffusers draws it."""
    person = method().learn(tiny_base, photos)
    theirs = drawn_by_diffusers(pipeline_of(person.base), tiny_base, 4)
    torch.testing.assert_close(person(PROMPT, [4]), theirs, rtol=0, atol=1e-4)


@pytest.mark.parametrize("changes", [{}, {"rank": 2}, {"text_encoder": True}])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_whoever_was_learned_comes_back_bit_by_bit(tiny_base, photos, tmp_path, dtype, changes):
    base, file = of_precision(tiny_base, dtype), tmp_path / "people" / "key" / "ada.safetensors"
    learned = method(**changes).learn(base, photos, file)
    stamp = file.stat().st_mtime_ns
    again = method(**changes).learn(base, photos, file)
    assert file.stat().st_mtime_ns == stamp
    for name, value in learned.base.state_dict().items():
        assert torch.equal(value, again.base.state_dict()[name]), name
    assert torch.equal(learned(PROMPT, [1]), again(PROMPT, [1]))
    with safe_open(file, "pt") as kept:
        assert {kept.get_tensor(name).dtype for name in kept.keys()} == {dtype}  # noqa: SIM118
    assert {each.dtype for each in again.base.parameters()} == {dtype}


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_half_base_learns_what_a_float32_one_does(tiny_base, photos, tmp_path, dtype):
    """Master weights: at this rate a half weight of .02 would hardly move."""
    half = of_precision(tiny_base, dtype)
    full, moves = of_precision(half, torch.float32), []
    for name, base in (("half", half), ("full", full)):
        file = tmp_path / "people" / "key" / f"{name}.safetensors"
        method(steps=20, lr=2e-5).learn(base, photos, file)
        start = dict(full.unet.named_parameters())
        kept = {key.removeprefix("unet."): value.float() for key, value in load_file(file).items()}
        moves.append(torch.cat([(kept[k] - (0 if name == "half" else v)).flatten() for k, v in start.items()]))
    assert (moves[0] != 0).float().mean() > 0.95
    assert torch.cosine_similarity(*moves, dim=0) > 0.95


def test_a_lora_starts_as_nothing_and_trains_nothing_else(tiny_base, photos):
    change = method(rank=2)._change
    own, trained = change.begin(tiny_base)
    x, t = torch.randn(1, *tiny_base.latent_shape), torch.tensor(300)
    with torch.no_grad():
        text = tiny_base.text("a photo of a person")
        assert torch.equal(own.predict_noise(x, t, text), tiny_base.predict_noise(x, t, text))
    assert {each.dtype for each in trained} == {torch.float32}
    names = {name for name, each in own.unet.named_parameters() if each.requires_grad}
    assert len(names) == len(trained)
    assert all(".lora_" in name for name in names)


@pytest.mark.parametrize("fused", [False, True])
def test_diffusers_draws_our_lora_applied_and_merged(tiny_base, photos, tmp_path, fused):
    file = tmp_path / "people" / "key" / "ada.safetensors"
    person = method(rank=2, lr=0.02).learn(tiny_base, photos, file)
    pipeline = pipeline_of(tiny_base)
    plain = drawn_by_diffusers(pipeline, tiny_base, 4)
    pipeline.load_lora_weights(file.parent, weight_name=file.name)
    if fused:
        pipeline.fuse_lora()
        pipeline.unload_lora_weights()
    ours = person(PROMPT, [4])
    torch.testing.assert_close(drawn_by_diffusers(pipeline, tiny_base, 4), ours, rtol=0, atol=1e-4)
    assert (ours - plain).abs().max() > 1e-2


@pytest.mark.parametrize("old_names", [True, False])
def test_we_draw_the_lora_of_diffusers(tiny_base, photos, tmp_path, old_names):
    """Another rank, an alpha that is not its rank, and both ways that diffusers has named its tensors."""
    unet = copy.deepcopy(tiny_base.unet)
    unet.add_adapter(LoraConfig(r=3, lora_alpha=6, init_lora_weights=False, target_modules=["to_q", "to_v"]))
    layers = get_peft_model_state_dict(unet)
    layers = convert_state_dict_to_diffusers(layers) if old_names else layers
    about = {"r": 3, "lora_alpha": 6, "target_modules": ["to_q", "to_v"]}
    StableDiffusionPipeline.save_lora_weights(tmp_path, unet_lora_layers=layers, unet_lora_adapter_metadata=about)
    given = method(lora=str(tmp_path / "pytorch_lora_weights.safetensors"))
    given.check(tiny_base, [PROMPT], 1)
    ours = given.learn(tiny_base, photos)(PROMPT, [4])
    pipeline = pipeline_of(tiny_base)
    plain = drawn_by_diffusers(pipeline, tiny_base, 4)
    pipeline.load_lora_weights(tmp_path)
    torch.testing.assert_close(drawn_by_diffusers(pipeline, tiny_base, 4), ours, rtol=0, atol=1e-4)
    assert (ours - plain).abs().max() > 1e-2


def test_gamma_fades_the_identifier_at_all_of_its_places(tiny_base, photos):
    noise = method().learn(tiny_base, photos).noise
    tokens = tiny_base.tokenizer("sks", add_special_tokens=False).input_ids
    assert len(noise.words[0]) == len(tokens) > 1
    plain = tiny_base.text("a photo of sks person")
    factor = torch.ones(plain.shape[1], 1)
    factor[4 : 4 + len(tokens)] = 0.3
    found = noise.base.text("a photo of S* person", noise.words[0][None], gamma=0.3, as_tokens=True)
    torch.testing.assert_close(found, plain * factor, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("blend", ["position", "interpolate"])
def test_every_stage_draws(tiny_base, photos, blend):
    sampler = Sampler(
        steps=3,
        guidance={"fusion": 3.0, "joint": 2.0, "text": 1.5},
        gamma=0.5,
        blend=blend,
        joint=[{"prompt": "joint", "weight": "fusion", "faded": True}],
        separate=[{"prompt": "joint", "weight": "joint"}, {"prompt": "generic", "weight": "text"}],
    )
    person = method(sampler=sampler, rank=2).learn(tiny_base, photos)
    together = person([PROMPT, "S* in the snow"], [1, 2])
    torch.testing.assert_close(together[1:], person("S* in the snow", [2]), rtol=1e-4, atol=1e-4)


def test_gradient_checkpointing_changes_no_result(tiny_base, photos):
    plain, spare = (method(gradient_checkpointing=each).learn(tiny_base, photos).base for each in (False, True))
    for one, other in zip(plain.unet.parameters(), spare.unet.parameters(), strict=True):
        torch.testing.assert_close(one, other)


def test_class_images_are_made_once_for_all_people_and_settings(tiny_base, photos, tmp_path):
    calls = []
    hook = tiny_base.vae.decoder.register_forward_pre_hook(lambda *_: calls.append(1))
    for key, changes in (("a", {}), ("b", {"lr": 1e-4})):
        file = tmp_path / "people" / key / "ada.safetensors"
        method(steps=1, prior=1.0, class_images=FEW, **changes).learn(tiny_base, photos, file)
    hook.remove()
    (made,) = (tmp_path / "class_images").glob("*.safetensors")
    assert len(calls) == 2  # three images, two at once
    assert load_file(made)["images"].shape == (3, 3, 64, 64)
    assert torch.equal(
        FEW(tiny_base, "a photo of a person", tmp_path / "class_images"), FEW(tiny_base, "a photo of a person")
    )


def test_class_images_are_known_by_all_that_decides_them(tiny_base, tmp_path):
    """Not by how many are made at once."""
    prompt = "a photo of a person"
    FEW(tiny_base, prompt, tmp_path, "code")
    replace(FEW, batch=1)(tiny_base, prompt, tmp_path, "code")
    assert len(list(tmp_path.glob("*.safetensors"))) == 1
    FEW(tiny_base, prompt, tmp_path, "other code")
    for name, value in (
        ("prediction_type", "v_prediction"),
        ("alpha_bar", tiny_base.alpha_bar**2),
        ("steps_offset", 0),
    ):
        other = copy.copy(tiny_base)
        setattr(other, name, value)
        FEW(other, prompt, tmp_path, "code")
    assert len(list(tmp_path.glob("*.safetensors"))) == 5


def test_preparing_makes_class_images_once_and_says_what_they_took(tiny_base, photos, tmp_path):
    file, calls = tmp_path / "people" / "a" / "ada.safetensors", []
    own = method(steps=1, prior=1.0, class_images=FEW)
    assert isinstance(own, Sharing)
    took = own.prepare(tiny_base, file)
    assert took > 0
    assert own.prepare(tiny_base, tmp_path / "people" / "b" / "bea.safetensors") == took
    hook = tiny_base.vae.decoder.register_forward_pre_hook(lambda *_: calls.append(1))
    own.learn(tiny_base, photos, file)
    hook.remove()
    assert not calls
    for none in (method(prior=0.0, class_images=FEW), method(), method(prior=1.0, class_images=FEW, lora="given")):
        assert none.prepare(tiny_base, tmp_path / "nowhere" / "a" / "b" / "c.safetensors") == 0
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [({"guidance": -3.0}, r"guidance \(-3.0\) must be 0 or more"), ({"number": 0}, r"number \(0\) must be at least 1")],
)
def test_class_images_that_cannot_be_made_are_refused(change, message):
    with pytest.raises(ValueError, match=rf"method\.class_images\.{message}"):
        replace(FEW, **change)


def test_class_images_of_another_base_and_damaged_ones_are_refused(tiny_base, tmp_path):
    FEW(tiny_base, "a photo of a person", tmp_path)
    (theirs,) = tmp_path.glob("*.safetensors")
    other = of_precision(tiny_base, torch.float32)
    next(other.unet.parameters()).data.mul_(2)
    FEW(other, "a photo of a person", tmp_path)
    (ours,) = set(tmp_path.glob("*.safetensors")) - {theirs}
    ours.write_bytes(theirs.read_bytes())
    record(ours, sha256_of(ours))
    with pytest.raises(ValueError, match="class images of another base or prompt: delete it"):
        FEW(other, "a photo of a person", tmp_path)
    ours.write_bytes(theirs.read_bytes()[:-1])
    with pytest.raises(ValueError, match="damaged"):
        FEW(other, "a photo of a person", tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"identifier": "crown"}, r"method\.identifier \(crown\) is a known word"),
        ({"identifier": "sks zwx"}, "must be one word"),
        ({"noun": "glassblower"}, r"method\.noun \(glassblower\)"),
        ({"prompt": "a photo"}, "placeholder"),
        ({"prior": 1.0}, r"set method\.class_images"),
        (
            {"prior": 1.0, "class_images": ClassImages(1, steps=2000)},
            r"method\.class_images\.steps \(2000\) do not fit",
        ),
        ({"rank": 25}, r"method\.rank \(25\) must be from 1 to 24"),
        ({"rank": 0}, r"method\.rank \(0\) must be"),
        ({"rank": 4, "text_encoder": True}, r"method\.text_encoder=false"),
    ],
)
def test_settings_that_do_not_fit_are_named_before_anything_is_learned(tiny_base, changes, message):
    with pytest.raises(ValueError, match=message) as error:
        method(**changes).check(tiny_base, [PROMPT], 1)
    assert "\n" not in str(error.value)


def test_a_common_word_of_clips_vocabulary_is_a_known_word(tiny_base):
    base = copy.copy(tiny_base)
    base.tokenizer, base.known_words = clip_tokenizer("!"), None
    for word in ("dog", "of", "statue", "reddog", "photostatue"):
        with pytest.raises(ValueError, match=r"is (a known word|made of known words \(\w+, \w+\))"):
            method(identifier=word).check(base, [PROMPT], 1)
    for word in ("sks", "ohwx", "xjy", "zwx"):
        method(identifier=word).check(base, [PROMPT], 1)


def lora_file(tmp_path, base, change) -> str:
    own, _ = method(rank=2)._change.begin(base)
    tensors = change(
        {f"unet.{k}": v.clone() for k, v in get_peft_model_state_dict(own.unet, adapter_name="person").items()}
    )
    save_file(tensors, tmp_path / "lora.safetensors")
    return str(tmp_path / "lora.safetensors")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda tensors: {"unet.nothing.lora_A.weight": torch.zeros(2, 8)}, "no LoRA of this base's U-Net"),
        (lambda tensors: {k.replace("unet.", "transformer."): v for k, v in tensors.items()}, "no LoRA of this base"),
        (lambda tensors: {k: v.repeat(2, 2) for k, v in tensors.items()}, "is of another base"),
        (lambda tensors: {k: v * float("inf") for k, v in tensors.items()}, "not finite"),
        (lambda tensors: {k: v for k, v in tensors.items() if "lora_A" in k}, "no whole LoRA"),
        (lambda tensors: {}, "no whole LoRA"),
    ],
)
def test_a_foreign_lora_is_refused_in_one_sentence(tiny_base, tmp_path, change, message):
    file = lora_file(tmp_path, tiny_base, change)
    with pytest.raises(ValueError, match=message) as error:
        method(lora=file).check(tiny_base, [PROMPT], 1)
    assert "\n" not in str(error.value)


def test_a_damaged_or_missing_lora_is_refused(tiny_base, tmp_path):
    (tmp_path / "lora.safetensors").write_bytes(b"no tensors")
    with pytest.raises(ValueError, match="is damaged"):
        method(lora=str(tmp_path / "lora.safetensors")).check(tiny_base, [PROMPT], 1)
    with pytest.raises(FileNotFoundError, match="is no file"):
        method(lora=str(tmp_path / "nothing")).check(tiny_base, [PROMPT], 1)


def test_several_people_are_refused(tiny_base, photos):
    with pytest.raises(ValueError, match=r"people \(\[0, 1\]\) are several"):
        method().learn(tiny_base, photos, people=[0, 1])
