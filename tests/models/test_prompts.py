import re

import pytest
import torch
from diffusers import StableDiffusionPipeline
from transformers import CLIPConfig, CLIPModel

from src.models.prompts import check_prompt, encode, generic_prompt

PROMPT = "a photo of S* wearing a red hat"
AT = 4  # position of S* in it
GENERIC = "a photo of a person wearing a red hat"


def pseudo_word(base, rows=1, tokens=1):
    return torch.randn(rows, tokens, base.text_encoder.config.hidden_size)


@pytest.fixture
def encode_with(tiny_base):
    return lambda *args, **kwargs: encode(tiny_base.text_encoder, tiny_base.tokenizer, *args, **kwargs)


@pytest.fixture(scope="module")
def full_depth(tiny_base):
    """A CLIPModel with one text layer more than the tiny base's, and the same weights below it."""
    text = tiny_base.text_encoder.config.to_dict() | {"num_hidden_layers": 3}
    vision = tiny_base.image_encoder.config.to_dict()
    model = CLIPModel(CLIPConfig(text_config=text, vision_config=vision)).eval()
    left_out = model.text_model.load_state_dict(tiny_base.text_encoder.state_dict(), strict=False)
    assert not left_out.unexpected_keys and all("layers.2." in name for name in left_out.missing_keys)
    return model


@pytest.mark.parametrize("prompt", ["", "a photo", GENERIC, "A photo, of a  PERSON! in the snow"])
def test_an_ordinary_prompt_is_encoded_as_diffusers_does(tiny_base, encode_with, prompt):
    pipeline = StableDiffusionPipeline(
        vae=tiny_base.vae,
        text_encoder=tiny_base.text_encoder,
        tokenizer=tiny_base.tokenizer,
        unet=tiny_base.unet,
        scheduler=None,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    expected, _ = pipeline.encode_prompt(prompt, "cpu", 1, False)
    torch.testing.assert_close(encode_with([prompt]), expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("pad", [True, False])
def test_a_full_depth_model_is_tapped_below_its_last_layer(tiny_base, full_depth, encode_with, pad):
    pseudo = pseudo_word(tiny_base)
    ours = encode(full_depth, tiny_base.tokenizer, [PROMPT], pseudo, 0.5, pad)
    torch.testing.assert_close(ours, encode_with([PROMPT], pseudo, 0.5, pad), rtol=1e-5, atol=1e-5)


def test_the_words_own_embedding_gives_the_ordinary_state(tiny_base, encode_with):
    """S* replaced by the (token + position) embedding of "crown" is the prompt with "crown"."""
    (crown,) = tiny_base.tokenizer("crown", add_special_tokens=False).input_ids
    embeddings = tiny_base.text_encoder.embeddings
    pseudo = embeddings.token_embedding.weight[crown] + embeddings.position_embedding.weight[AT]
    for pad in (True, False):
        state = encode_with([PROMPT], pseudo.view(1, 1, -1), pad=pad)
        torch.testing.assert_close(state, encode_with([PROMPT.replace("S*", "crown")], pad=pad))


@pytest.mark.parametrize("position", ["S*", "S* in the snow", "a sketch of S*", "the person and S*, red"])
def test_the_placeholder_may_stand_anywhere(tiny_base, encode_with, position):
    pseudo = pseudo_word(tiny_base)
    head = position.split("S*")[0]
    at = 1 + len(tiny_base.tokenizer(head, add_special_tokens=False).input_ids)
    changed = (encode_with([position], pseudo) - encode_with([position], pseudo + 1)).abs().amax(-1)[0]
    assert changed[:at].max() == 0 and changed[at:].min() > 0


def test_rows_are_encoded_each_for_itself(tiny_base, encode_with):
    pseudo, prompts = pseudo_word(tiny_base, 3), ["", PROMPT, "S* in snow"]
    states = encode_with(prompts, pseudo)
    assert states.shape == (3, tiny_base.tokenizer.model_max_length, 32)
    torch.testing.assert_close(states[:1], encode_with([""]), rtol=1e-5, atol=1e-5)
    for row in (1, 2):
        alone = encode_with([prompts[row]], pseudo[row : row + 1])
        torch.testing.assert_close(states[row : row + 1], alone, rtol=1e-5, atol=1e-5)


def test_one_prompt_serves_many_pseudo_words_and_one_pseudo_word_many_prompts(tiny_base, encode_with):
    pseudo = pseudo_word(tiny_base, 2)
    torch.testing.assert_close(encode_with(PROMPT, pseudo), encode_with([PROMPT] * 2, pseudo))
    both = encode_with([PROMPT, ""], pseudo[:1])
    torch.testing.assert_close(both, encode_with([PROMPT, ""], pseudo[:1].expand(2, -1, -1)))
    with pytest.raises(AssertionError):
        encode_with([PROMPT] * 3, pseudo)


@pytest.mark.parametrize("tokens", [1, 3])
@pytest.mark.parametrize("pad", [True, False])
def test_gamma_scales_the_output_state_at_the_first_pseudo_token(tiny_base, encode_with, tokens, pad):
    pseudo = pseudo_word(tiny_base, 1, tokens)
    whole = encode_with([PROMPT], pseudo, 1.0, pad)
    expected = whole.clone()
    expected[:, AT] *= 0.3
    torch.testing.assert_close(encode_with([PROMPT], pseudo, 0.3, pad), expected)
    each = encode_with([PROMPT, PROMPT], pseudo, torch.tensor([1.0, 0.3]), pad)
    torch.testing.assert_close(each, torch.cat([whole, expected]), rtol=1e-5, atol=1e-5)
    mixed = encode_with([PROMPT, ""], pseudo, 0.3)
    torch.testing.assert_close(mixed[1:], encode_with([""]), rtol=1e-5, atol=1e-5)


def embedded_by(base, call):
    """What the text encoder's layers are fed while `call` runs."""
    seen = []
    hook = base.text_encoder.encoder.register_forward_pre_hook(
        lambda module, args, kwargs: seen.append(kwargs["inputs_embeds"]), with_kwargs=True
    )
    call()
    hook.remove()
    return seen[0]


def test_with_more_tokens_the_tail_keeps_its_positions_and_pads_are_lost(tiny_base, encode_with):
    pseudo = pseudo_word(tiny_base, 1, 3)
    plain = embedded_by(tiny_base, lambda: encode_with([PROMPT.replace("S*", "crown")]))
    fed = embedded_by(tiny_base, lambda: encode_with([PROMPT], pseudo))
    expected = torch.cat([plain[:, :AT], pseudo, plain[:, AT + 1 : -2]], dim=1)
    torch.testing.assert_close(fed, expected, rtol=0, atol=0)


def test_without_pads_the_placeholder_takes_a_position_for_each_token(tiny_base, encode_with):
    pseudo = pseudo_word(tiny_base, 1, 3)
    plain = embedded_by(tiny_base, lambda: encode_with(["a photo of red red red in snow"], pad=False))
    fed = embedded_by(tiny_base, lambda: encode_with(["a photo of S* in snow"], pseudo, pad=False))
    torch.testing.assert_close(fed, torch.cat([plain[:, :AT], pseudo, plain[:, AT + 3 :]], 1), rtol=0, atol=0)


def test_without_pads_the_sequence_ends_with_its_end_token(tiny_base, encode_with):
    pseudo = pseudo_word(tiny_base)
    short = encode_with(["a photo of S*"], pseudo, pad=False)
    assert short.shape == (1, 6, 32)
    torch.testing.assert_close(short, encode_with(["a photo of S*"], pseudo)[:, :6], rtol=1e-5, atol=1e-5)
    with pytest.raises(ValueError, match="one length"):
        encode_with(["a photo", "a red photo"], pad=False)


@pytest.mark.parametrize("pad", [True, False])
def test_gradients_reach_the_pseudo_word_and_no_weight(tiny_base, encode_with, pad):
    pseudo = pseudo_word(tiny_base, 2).requires_grad_()
    encode_with([PROMPT], pseudo, 0.5, pad)[:, -1].square().sum().backward()
    assert pseudo.grad.abs().amax((1, 2)).min() > 0
    assert all(p.grad is None for p in tiny_base.text_encoder.parameters())


def test_the_hook_is_gone_afterwards(tiny_base, encode_with):
    before = encode_with([GENERIC])
    encode_with([PROMPT], pseudo_word(tiny_base))
    with pytest.raises(RuntimeError):
        encode_with([PROMPT], torch.randn(1, 1, 5))
    assert not tiny_base.text_encoder.embeddings._forward_hooks
    torch.testing.assert_close(encode_with([GENERIC]), before, rtol=0, atol=0)


def test_a_placeholder_needs_its_pseudo_word_and_other_prompts_do_not_use_it(tiny_base, encode_with):
    torch.testing.assert_close(encode_with([GENERIC], pseudo_word(tiny_base)), encode_with([GENERIC]))
    with pytest.raises(ValueError, match="pass the pseudo-word"):
        encode_with([PROMPT])
    with pytest.raises(ValueError, match="once, not 2 times"):
        encode_with(["S* and S*"], pseudo_word(tiny_base))


def test_no_prompt_is_cut_off(tiny_base, encode_with):
    fits = "red " * 21 + "S*"  # with begin and end 24 tokens
    assert encode_with([fits], pseudo_word(tiny_base)).shape[1] == 24
    for prompt, tokens in (("red " + fits, 1), (fits, 2)):
        with pytest.raises(ValueError, match="25 of 24 tokens"):
            encode_with([prompt], pseudo_word(tiny_base, 1, tokens))
    with pytest.raises(ValueError, match="25 of 24 tokens"):
        encode_with(["red " * 23])


def test_generic_prompt_names_the_subject_by_a_noun():
    assert generic_prompt(PROMPT, "a person") == GENERIC
    assert generic_prompt("a red hat", "a person") == "a red hat"


@pytest.mark.parametrize("prompt", [PROMPT, "S*", "A pencil sketch of S* in the SNOW", "red " * 21 + "S*"])
def test_a_good_prompt_passes(tiny_base, prompt):
    check_prompt(prompt, tiny_base.tokenizer, tiny_base.known_words)


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        ("", 'the prompt is empty; write one with the placeholder, such as "a photo of S*"'),
        ("  ", "the prompt is empty"),
        ("a photo of a person", 'prompt "a photo of a person" holds the placeholder S* 0 times'),
        ("S* and S*", 'prompt "S* and S*" holds the placeholder S* 2 times'),
        ("red " * 22 + "S*", "takes 25 tokens, of which 24 fit, so S* would be cut off; shorten it by 1"),
        (
            "S*" + " red" * 23,
            "takes 26 tokens, of which 24 fit, so its end would be cut off; shorten it by 2",
        ),
        ("S* in a blau hat", '"blau" (nearest: blue)'),
        ("S* in a spaceship", '"spaceship" (nearest: none)'),
        ("S* in a person's hat", '"person\'s" (nearest: person)'),
        ("S* in the snow, red.", "red.\" holds ',', '.', which this base was not trained on; write words only"),
        ("S*\tin the snow", "holds '\\t', which"),
        ("S* in the ❄ snow!", "holds '❄', '!', which"),
        ("S* in a_hat", "holds '_', which"),
        ("S*s hat", '"s" (nearest: '),
    ],
)
def test_a_bad_prompt_is_refused_in_one_sentence(tiny_base, prompt, message):
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        check_prompt(prompt, tiny_base.tokenizer, tiny_base.known_words)
    assert "\n" not in str(caught.value)


def test_a_line_break_cannot_break_the_sentence(tiny_base):
    with pytest.raises(ValueError, match="write words only") as caught:
        check_prompt("S*\nin the snow", tiny_base.tokenizer, tiny_base.known_words)
    assert "\n" not in str(caught.value)


def test_any_word_passes_where_the_vocabulary_is_open_and_tokens_count(tiny_base):
    check_prompt("S* in a spaceship, at dawn!", tiny_base.tokenizer)
    with pytest.raises(ValueError, match="S\\* would be cut off"):
        check_prompt("red " * 21 + "S*", tiny_base.tokenizer, pseudo_tokens=2)
