"""E4T's parts: offsets that are nothing at first, a word off a class word, features of the frozen base, and files."""

import copy
import json

import pytest
import torch
from hydra import compose, initialize_config_dir
from torch import nn

from src.harness.build import build, plain
from src.harness.compose import CONF
from src.models.base import load_base
from src.models.digest import base_digest
from src.models.e4t import E4T, e4t_words, merged, noun_number, pseudo_word, unet_features, with_offsets
from src.models.personal import PersonalNoise, attention_projections
from src.models.sources import shell
from src.sampling import Condition
from tests.conftest import write_base


def new_e4t(base, **changes):
    torch.manual_seed(5)
    return E4T.from_unet(base.unet, **{"vision_width": 48, "text_width": 32, "width": 16, **changes})


def bent(e4t, size=0.1):
    """Offsets as after some training."""
    for offset in e4t.weight_offsets:
        nn.init.normal_(offset.column, std=size)
    return e4t.requires_grad_(False)


@pytest.fixture
def asked(tiny_base):
    return torch.randn(2, 4, 16, 16), torch.tensor([900, 3]), tiny_base.text(["a red hat", "a photo of a person"])


def test_new_offsets_leave_the_base_exactly_as_it_was(tiny_base, asked):
    before = {name: value.clone() for name, value in tiny_base.unet.state_dict().items()}
    expected, e4t = tiny_base.predict_noise(*asked), new_e4t(tiny_base)
    for own in (with_offsets(tiny_base, e4t), merged(tiny_base, e4t)):
        assert torch.equal(own.predict_noise(*asked), expected)
    assert torch.equal(tiny_base.predict_noise(*asked), expected)
    after = tiny_base.unet.state_dict()
    assert after.keys() == before.keys()
    assert all(torch.equal(value, before[name]) for name, value in after.items())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_offsets_that_are_applied_equal_offsets_that_are_merged(tiny_base, asked, dtype):
    base = copy.copy(tiny_base)
    base._modules = {name: copy.deepcopy(part).to(dtype) for name, part in tiny_base._modules.items()}
    e4t = bent(new_e4t(base))
    applied, in_weights = (make(base, e4t).predict_noise(*asked) for make in (with_offsets, merged))
    assert torch.equal(applied, in_weights)
    assert not torch.allclose(applied, base.predict_noise(*asked), atol=1e-3)


def test_an_offset_scales_each_weight_as_vectors_around_the_projection_do(tiny_base):
    """W (1 + sum_k c_k r_k^T) x = W x + sum_k c_k (W (r_k x)), products without a matrix being by element."""
    e4t, linear = bent(new_e4t(tiny_base), 1.0), attention_projections(tiny_base.unet)[0]
    offset, x = e4t.weight_offsets[0], torch.randn(3, linear.in_features)
    around = sum(c * linear(r * x) for c, r in zip(offset.column, offset.row, strict=True))
    torch.testing.assert_close(x @ offset(linear.weight).T, linear(x) + around, rtol=1e-4, atol=1e-5)


def test_the_outer_product_behind_two_linear_layers_has_no_more_than_three_ranks():
    rows, columns = nn.Linear(20, 20).double(), nn.Linear(30, 30).double()
    x, y = torch.randn(20, dtype=torch.float64), torch.randn(30, dtype=torch.float64)
    change = columns(rows(torch.outer(x, y).T).T)
    assert int(torch.linalg.matrix_rank(change)) == 3


def test_features_are_the_means_of_what_the_encoder_half_hands_over(tiny_base):
    """Against a whole pass of the U-Net, overheard: of every block that is the input of another or of the decoder."""
    x, t, maps = torch.randn(2, 4, 16, 16), torch.tensor(300), []
    unet = tiny_base.unet
    hooks = [unet.conv_in.register_forward_hook(lambda module, args, out: maps.append(out))]
    hooks += [block.register_forward_hook(lambda module, args, out: maps.extend(out[1])) for block in unet.down_blocks]
    hooks += [unet.mid_block.register_forward_hook(lambda module, args, out: maps.append(out))]
    tiny_base.predict_noise(x, t, tiny_base.text([""]).expand(2, -1, -1))
    for hook in hooks:
        hook.remove()
    found = unet_features(tiny_base, x, t)
    torch.testing.assert_close(found, torch.cat([each.mean((2, 3)) for each in maps], 1))
    assert found.shape[1] == new_e4t(tiny_base).config["features"]


def test_features_come_from_the_base_without_offsets(tiny_base):
    photo, (x, t) = torch.rand(1, 3, 64, 64), (torch.randn(2, 4, 16, 16), torch.tensor(300))
    straight, e4t = new_e4t(tiny_base), bent(new_e4t(tiny_base))
    (one,), (other,) = (e4t_words(tiny_base, each, photo) for each in (straight, e4t))
    assert torch.equal(one(x, t), other(x, t))


def test_without_an_offset_the_pseudo_word_is_the_class_word(tiny_base):
    e4t = new_e4t(tiny_base)
    nn.init.zeros_(e4t.offset[-1].weight)
    nn.init.zeros_(e4t.offset[-1].bias)
    words = e4t_words(tiny_base, e4t, torch.rand(1, 3, 64, 64))
    noise = PersonalNoise(tiny_base, words=words, as_tokens=True, word_evaluations=1)
    x, t = torch.randn(2, 4, 16, 16), torch.tensor(700)
    with torch.no_grad():
        own, generic = noise(x, t, [Condition("a red hat and S*", 0), Condition("a red hat and person")])
    torch.testing.assert_close(own, generic)
    assert noise.unet_evaluations == 3


def test_the_pseudo_word_is_the_class_word_and_the_scaled_offset(tiny_base):
    e4t, x, t = new_e4t(tiny_base, scale=0.25), torch.randn(2, 4, 16, 16), torch.tensor(700)
    vision = torch.randn(2, 5, 48)
    word, offset = pseudo_word(tiny_base, e4t, x, t, vision)
    noun = tiny_base.text_encoder.get_input_embeddings().weight[noun_number(tiny_base, e4t)]
    torch.testing.assert_close(word, noun + 0.25 * offset)
    torch.testing.assert_close(offset, e4t(unet_features(tiny_base, x, t), vision))
    assert word.shape == (2, 1, 32)


def test_the_file_gives_the_same_network_again_and_half_of_it_the_same_but_for_rounding(tiny_base, tmp_path):
    e4t = bent(new_e4t(tiny_base))
    for dtype, close in ((torch.float32, 0), (torch.float16, 1e-3)):
        e4t.save(tmp_path / str(dtype), dtype)
        again = E4T.load(tmp_path / str(dtype))
        assert again.config == e4t.config
        assert {each.dtype for each in again.parameters()} == {torch.float32}
        for one, other in zip(again.parameters(), e4t.parameters(), strict=True):
            torch.testing.assert_close(one, other, rtol=close, atol=close)


def test_where_there_is_no_file_the_command_that_makes_one_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"`python -m src\.train \+experiment=tiny_e4t`, .*method\.e4t\.folder"):
        E4T.load(tmp_path, trained_by="tiny_e4t")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: (folder / "config.json").write_text("{}"), "does not hold an E4T: its config.json lacks width"),
        (lambda folder: changed(folder, width=8), r"does not hold this E4T: of its tensors, \d+ of another shape"),
        (lambda folder: changed(folder, projections=[]), r"does not hold this E4T: of its tensors, \d+ unexpected"),
        (lambda folder: changed(folder, projections=[["a"]]), "its config.json lacks projections$"),
        (lambda folder: cut(folder), "is damaged"),
    ],
)
def test_a_foreign_or_damaged_file_is_refused_in_one_sentence(tiny_base, tmp_path, spoil, message):
    new_e4t(tiny_base).save(tmp_path)
    spoil(tmp_path)
    with pytest.raises(ValueError, match=message):
        E4T.load(tmp_path)


def changed(folder, **values):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | values))


def cut(folder):
    file = folder / "diffusion_pytorch_model.safetensors"
    file.write_bytes(file.read_bytes()[:-8])


def test_weights_of_another_base_are_refused_and_its_precision_does_not_matter(tiny_base, tiny_base_folder, tmp_path):
    e4t = new_e4t(tiny_base)
    e4t.config["base"] = base_digest(tiny_base)
    for dtype in ("bfloat16", "float16", "float64"):
        e4t.check(load_base(tiny_base_folder, dtype=dtype))
    with pytest.raises(
        ValueError, match=r"of another base .*: give the base that they were trained on, or train others"
    ):
        e4t.check(load_base(write_base(tmp_path / "other", seed=1)))
    nudged = load_base(tiny_base_folder)
    with torch.no_grad():
        nudged.unet.conv_in.weight.add_(1e-2)
    with pytest.raises(ValueError, match="of another base"):
        e4t.check(nudged)


@pytest.mark.parametrize(("noun", "message"), [("personhood", "is a word that this base was not trained on"), ("", "")])
def test_a_noun_that_is_no_word_is_refused(tiny_base, noun, message):
    with pytest.raises(ValueError, match=rf"learning\.net\.noun \({noun}\) {message}"):
        noun_number(tiny_base, new_e4t(tiny_base, noun=noun))


def test_a_noun_that_the_tokenizer_splits_is_refused(tiny_base):
    base = copy.copy(tiny_base)
    base.known_words = None
    with pytest.raises(ValueError, match=r"learning\.net\.noun \(hatred\) is \d tokens of this base's tokenizer"):
        noun_number(base, new_e4t(base, noun="hatred"))


@pytest.mark.parametrize(("world", "features", "most"), [("tiny", None, 2e6), ("sd2", 10_880, 60e6)])
def test_the_configured_sizes(world, features, most):
    """At Stable Diffusion 2's size as many features as [code] has; half of the embedded world's fits into 2 MB."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("train", [f"+experiment={'tiny' if world == 'tiny' else 'ffhq'}_e4t", f"base={world}"])
        if world == "sd2":
            cfg.base = compose("train", ["base=sd2_random"]).base
    parts = shell(plain(cfg.base))
    vision, text = (parts[part].config.hidden_size for part in ("image_encoder", "text_encoder"))
    with torch.device("meta"):
        net = build(cfg.learning.net)(parts["unet"], vision_width=vision, text_width=text)
    assert features in (None, net.config["features"])
    assert 2 * sum(each.numel() for each in net.parameters()) < most
