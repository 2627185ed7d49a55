"""Textual Inversion learns a word and nothing else, and its file is diffusers' own."""

import copy

import pytest
import torch
from diffusers import StableDiffusionPipeline
from safetensors.torch import load_file, save_file

from src.diffusion import add_noise, denoising_loss
from src.learning.pretrain import draws_for
from src.methods.drawing import Sampler
from src.methods.textual_inversion import TextualInversion, read_embedding
from src.models.personal import PersonalNoise
from src.models.pipelines import scheduler_of
from src.models.prompts import encode
from src.models.words import embeddings_of
from src.sampling import Condition, seeded_randn_like

PROMPT = "a photo of S* wearing a red hat"
BASE = Sampler(
    steps=3, guidance={"joint": 4.0}, joint=[], separate=[{"prompt": "joint", "weight": "joint"}], fusion_steps=0
)
FUSION = Sampler(
    steps=3,
    guidance={"fusion": 3.0, "joint": 2.0, "text": 1.5},
    gamma=0.5,
    joint=[{"prompt": "joint", "weight": "fusion", "faded": True}],
    separate=[{"prompt": "joint", "weight": "joint"}, {"prompt": "generic", "weight": "text"}],
)


def method(**changes) -> TextualInversion:
    return TextualInversion(
        **{"sampler": BASE, "steps": 3, "lr": 0.05, "batch": 2, "templates": ["a photo of S*", "S*"], **changes}
    )


def pipeline_of(base) -> StableDiffusionPipeline:
    return StableDiffusionPipeline(
        vae=base.vae,
        text_encoder=copy.deepcopy(base.text_encoder),
        tokenizer=copy.deepcopy(base.tokenizer),
        unet=base.unet,
        scheduler=scheduler_of(base),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def drawn_by_diffusers(pipeline, base, prompt, seed) -> torch.Tensor:
    latents = seeded_randn_like([seed])(torch.empty(1, *base.latent_shape))
    made = pipeline(prompt, num_inference_steps=3, guidance_scale=4.0, latents=latents, output_type="pt")
    return made.images * 2 - 1


@pytest.fixture(scope="module")
def photos():
    return torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(2)) * 2 - 1


def test_the_embedding_alone_is_learned(tiny_base, photos, tmp_path):
    before = {name: value.clone() for name, value in tiny_base.state_dict().items()}
    method(words=2).learn(tiny_base, photos, tmp_path / "ada.safetensors")
    assert all(torch.equal(value, before[name]) for name, value in tiny_base.state_dict().items())
    assert all(each.grad is None and not each.requires_grad for each in tiny_base.parameters())
    (name, word), *others = load_file(tmp_path / "ada.safetensors").items()
    person = embeddings_of(tiny_base.text_encoder)[tiny_base.tokenizer("person", add_special_tokens=False).input_ids]
    assert (name, word.shape, word.dtype, others) == ("<person>", (2, 32), torch.float32, [])
    assert (word != person).float().mean() > 0.9
    assert (word - person).abs().max() < 0.2  # three steps of .05


def test_a_step_is_the_noise_loss_of_the_photo_under_a_template(tiny_base, photos):
    """Plain gradient descent would move by lr * gradient; AdamW's first step moves by lr against its sign."""
    learn = method(steps=1, templates=["a photo of S*"], weight_decay=0.0)
    learned = learn.learn(tiny_base, photos).noise.words[0]
    ids = tiny_base.tokenizer("person", add_special_tokens=False).input_ids
    word = embeddings_of(tiny_base.text_encoder)[ids].detach().clone().requires_grad_()
    draws = draws_for(tiny_base, 0, 0, range(2), low_third=1 / 3, device=torch.device("cpu"))
    mean, std = tiny_base.posterior(photos)
    x_t = add_noise(mean + std * draws["z_target"], draws["eps"], draws["t"], tiny_base.noise_levels)
    text = tiny_base.text(["a photo of S*"] * 2, word[None], as_tokens=True)
    denoising_loss(tiny_base.predict_noise(x_t, draws["t"], text), draws["eps"]).backward()
    torch.testing.assert_close(learned, word.detach() - 0.05 * word.grad.sign(), rtol=1e-3, atol=1e-3)


def test_a_known_words_embedding_reads_as_that_word(tiny_base):
    """Wherever it stands, and gamma scales the state at each of its places."""
    ids = tiny_base.tokenizer("red crown", add_special_tokens=False).input_ids
    word, prompt = embeddings_of(tiny_base.text_encoder)[ids][None], "a photo of S* in the snow"
    for pad in (True, False):
        found = encode(tiny_base.text_encoder, tiny_base.tokenizer, prompt, word, pad=pad, as_tokens=True)
        plain = encode(tiny_base.text_encoder, tiny_base.tokenizer, "a photo of red crown in the snow", pad=pad)
        torch.testing.assert_close(found, plain, rtol=1e-5, atol=1e-5)
        faded = encode(tiny_base.text_encoder, tiny_base.tokenizer, prompt, word, 0.5, pad, as_tokens=True)
        factor = torch.ones(found.shape[1], 1)
        factor[4:6] = 0.5
        torch.testing.assert_close(faded, found * factor)


@pytest.mark.parametrize("words", [1, 3])
def test_diffusers_draws_whom_we_learned_and_we_whom_it_learned(tiny_base, photos, tmp_path, words):
    file = tmp_path / "person.safetensors"
    person = method(words=words).learn(tiny_base, photos, file)
    pipeline = pipeline_of(tiny_base)
    pipeline.load_textual_inversion(file)
    for prompt in (PROMPT, "S* in the snow"):
        ours, theirs = person(prompt, [5]), prompt.replace("S*", "<person>")
        torch.testing.assert_close(drawn_by_diffusers(pipeline, tiny_base, theirs, 5), ours, rtol=0, atol=1e-4)
    foreign = tmp_path / "theirs" / "learned_embeds.safetensors"
    foreign.parent.mkdir()
    word = torch.randn(words, 32) if words > 1 else torch.randn(32)
    save_file({"<cat-toy>": word}, foreign)
    pipeline = pipeline_of(tiny_base)
    pipeline.load_textual_inversion(foreign.parent)
    theirs = drawn_by_diffusers(pipeline, tiny_base, "a photo of <cat-toy> at the beach", 6)
    given = method(embedding=str(foreign))
    given.check(tiny_base, [PROMPT], 1)
    ours = given.learn(tiny_base, photos)("a photo of S* at the beach", [6])
    torch.testing.assert_close(theirs, ours, rtol=0, atol=1e-4)
    assert (ours - person("a photo of S* at the beach", [6])).abs().max() > 1e-3


def test_whoever_was_learned_comes_back_from_their_file(tiny_base, photos, tmp_path):
    file = tmp_path / "ada.safetensors"
    learned = method(sampler=FUSION).learn(tiny_base, photos, file)
    stamp = file.stat().st_mtime_ns
    again = method(sampler=FUSION).learn(tiny_base, photos, file)
    assert file.stat().st_mtime_ns == stamp
    assert torch.equal(learned(PROMPT, [1]), again(PROMPT, [1]))
    other = copy.copy(tiny_base)
    other._modules = {**tiny_base._modules, "unet": copy.deepcopy(tiny_base.unet)}
    next(other.unet.parameters()).data.mul_(2)
    with pytest.raises(ValueError, match="another base"):
        method().learn(other, photos, file)
    file.write_bytes(file.read_bytes()[:-8])
    with pytest.raises(ValueError, match="damaged"):
        method().learn(tiny_base, photos, file)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_on_a_half_base_the_word_has_float32_digits(tiny_base, photos, dtype):
    half = copy.copy(tiny_base)
    half._modules = {name: copy.deepcopy(part).to(dtype) for name, part in tiny_base._modules.items()}
    word = method(lr=1e-5, steps=5).learn(half, photos).noise.words[0]
    start = embeddings_of(half.text_encoder)[half.tokenizer("person", add_special_tokens=False).input_ids].float()
    assert word.dtype == torch.float32
    assert ((word - start) != 0).float().mean() > 0.95  # in half precision hardly one would have moved


def test_what_is_constant_is_computed_once(tiny_base, photos):
    """Latents when learning; in drawing the text states, which do not depend on (x_t, t)."""
    counts = dict.fromkeys(("vae.encoder", "text_encoder", "image_encoder", "unet"), 0)

    def counted(name):
        def hook(*_):
            counts[name] += 1

        return tiny_base.get_submodule(name).register_forward_pre_hook(hook)

    hooks = [counted(name) for name in counts]
    person = method(steps=4).learn(tiny_base, photos)
    learned = dict(counts)
    noise = PersonalNoise(tiny_base, words=person.noise.words, as_tokens=True)
    with torch.no_grad():
        for t in (300, 200, 100):
            noise(torch.zeros(2, *tiny_base.latent_shape), torch.tensor(t), [Condition(PROMPT, 0), Condition("")])
    for hook in hooks:
        hook.remove()
    assert learned == {"vae.encoder": 1, "text_encoder": 5, "image_encoder": 0, "unet": 5}  # the last looks at the end
    assert counts["text_encoder"] - learned["text_encoder"] == 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"initial": "glassblower"}, r"method\.initial \(glassblower\) is a word that this base was not trained on"),
        ({"templates": ["a photo"]}, "placeholder"),
        ({"templates": []}, r"method\.templates"),
        ({"templates": ["an etching of S*"]}, "not trained on"),
        ({"words": 20}, "fit"),
        ({"words": 200}, r"method\.words \(200\) leaves no room in a prompt"),
    ],
)
def test_settings_that_do_not_fit_are_named_before_anything_is_learned(tiny_base, changes, message):
    with pytest.raises(ValueError, match=message):
        method(**changes).check(tiny_base, [PROMPT], 1)


def test_a_noun_that_the_tokenizer_splits_is_refused(tiny_base):
    base = copy.copy(tiny_base)
    base.known_words = None
    with pytest.raises(ValueError, match=r"method\.initial \(zebra\) is \d tokens"):
        method(initial="zebra").check(base, [PROMPT], 1)


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"a": torch.zeros(1, 16)}, "32 wide"),
        ({"a": torch.zeros(1, 32), "b": torch.zeros(1, 32)}, "holds 2 tensors"),
        ({"a": torch.full((1, 32), float("nan"))}, "not finite"),
        ({"a": torch.zeros(1, 32, dtype=torch.int64)}, "holds int64 numbers"),
        (None, "damaged"),
    ],
)
def test_a_foreign_or_damaged_file_is_refused_in_one_sentence(tiny_base, tmp_path, tensors, message):
    file = tmp_path / "learned_embeds.safetensors"
    if tensors is None:
        file.write_bytes(b"no tensors")
    else:
        save_file(tensors, file)
    with pytest.raises(ValueError, match=message) as error:
        read_embedding(str(file), tiny_base)
    assert "\n" not in str(error.value)
    with pytest.raises(FileNotFoundError, match="is no file"):
        read_embedding(str(tmp_path / "nobody"), tiny_base)


def test_several_people_are_refused(tiny_base, photos):
    with pytest.raises(ValueError, match=r"people \(\[0, 1\]\) are several"):
        method().learn(tiny_base, photos, people=[0, 1])
