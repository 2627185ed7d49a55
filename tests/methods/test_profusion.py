"""ProFusion as data: what its rows mean, what a step costs, and that learning touches only what it should."""

import copy

import pytest
import torch

from src.learning.finetune import Finetune, FinetuneOnPhoto
from src.learning.tuned import untuned
from src.methods.drawing import Sampler
from src.methods.profusion import ProFusion
from src.methods.prompt_only import PromptOnly
from src.methods.textual_inversion import TextualInversion
from src.models.personal import PersonalNoise, attention_projections
from src.models.promptnet import PromptNet
from src.sampling import NULL, Condition

JOINT = [{"prompt": "joint", "weight": "fusion", "faded": True}]
SEPARATE = [{"prompt": "joint", "weight": "joint"}, {"prompt": "generic", "weight": "text"}]
GUIDANCE = {"fusion": 3.0, "joint": 2.0, "text": 1.5}
PROMPT = "a photo of S* wearing a red hat"


def sampler(**changes) -> Sampler:
    return Sampler(**{"steps": 3, "joint": JOINT, "separate": SEPARATE, "guidance": GUIDANCE, **changes})


@pytest.fixture(scope="module")
def promptnet(tiny_base):
    torch.manual_seed(1)
    return PromptNet.from_unet(tiny_base.unet, vision_width=48, text_width=32, pseudo_channels=4)


@pytest.fixture(scope="module")
def photos():
    return torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(2)) * 2 - 1


@pytest.mark.parametrize(
    ("changes", "per_step"),
    [
        ({}, 5),
        ({"fusion_steps": 2}, 7),
        ({"fusion_steps": 0}, 3),
        ({"fusion_steps": 0, "separate": [{"prompt": "joint", "weight": "joint"}]}, 2),
        ({"separate": JOINT}, 4),
        ({"guidance": {**GUIDANCE, "text": 0.0}}, 4),
        ({"opening": SEPARATE[1:], "opening_share": 1 / 3}, (2 + 5 + 5) / 3),
    ],
)
def test_unet_evaluations_are_those_the_rows_need(tiny_base, promptnet, photos, changes, per_step):
    person = ProFusion(promptnet, sampler(**changes)).learn(tiny_base, photos[:1])
    person(PROMPT, [0])
    assert person.unet_evaluations == 3 * per_step


def test_one_batched_call_of_the_unet_serves_a_stage(tiny_base, promptnet, photos):
    calls = []
    hook = tiny_base.unet.register_forward_pre_hook(lambda module, args: calls.append(len(args[0])))
    ProFusion(promptnet, sampler()).learn(tiny_base, photos[:1])(PROMPT, [0, 1])
    hook.remove()
    assert calls == [4, 6] * 3  # two seeds: (null, joint), then (null, joint, generic)


def test_an_opening_over_all_steps_is_a_sampler_of_its_rows(tiny_base, promptnet, photos):
    switched = sampler(opening=SEPARATE[1:], opening_share=1.0)
    plain = sampler(separate=SEPARATE[1:], fusion_steps=0)
    one, other = (ProFusion(promptnet, s).learn(tiny_base, photos[:1])(PROMPT, [4]) for s in (switched, plain))
    assert torch.equal(one, other)


def test_an_opening_with_the_rows_of_the_rest_changes_nothing(tiny_base, promptnet, photos):
    split = sampler(opening=SEPARATE, opening_share=0.4, fusion_steps=0)
    one, other = (
        ProFusion(promptnet, s).learn(tiny_base, photos[:1])(PROMPT, [4]) for s in (split, sampler(fusion_steps=0))
    )
    assert torch.equal(one, other)


def test_an_image_does_not_depend_on_its_batch(tiny_base, promptnet, photos):
    person = ProFusion(promptnet, sampler()).learn(tiny_base, photos[:1])
    together, alone = person(PROMPT, [5, 6]), person(PROMPT, [6])
    assert torch.allclose(together[1], alone[0], atol=1e-4)


def test_variants_are_what_is_learned_from_but_not_who_is_shown(tiny_base, promptnet, photos):
    seen = []

    def finetune(base, promptnet, variants):
        seen.append(variants)
        return untuned(base, promptnet)

    method = ProFusion(promptnet, sampler(), finetune)
    person = method.learn(tiny_base, photos[:1], variants=lambda p: torch.cat([p, photos[1:]]))
    assert torch.equal(seen[0], photos)
    assert torch.equal(person(PROMPT, [1]), method.learn(tiny_base, photos[:1])(PROMPT, [1]))


def test_several_photos_share_the_weights_of_their_person(tiny_base):
    terms = sampler().terms(SEPARATE, PROMPT, [0.75, 0.25])
    assert [(c.photo, weight) for c, weight in terms] == [(0, 1.5), (1, 0.5), (None, 1.5)]
    assert terms[-1][0] == Condition("a photo of a person wearing a red hat")


@pytest.mark.parametrize("shares", [[1.0], [0.5, 0.3, 0.2], [1.2, -0.2], [0.0, 0.0]])
def test_shares_that_are_no_weights_are_refused_before_anything_is_learned(tiny_base, promptnet, photos, shares):
    def finetune(*given):
        raise AssertionError("learning began")

    with pytest.raises(ValueError, match=r"method\.shares .* 2 weights >= 0, not all 0"):
        ProFusion(promptnet, sampler(), finetune, shares).learn(tiny_base, photos)


def test_a_share_of_one_is_that_photo_alone(tiny_base, promptnet, photos):
    both = ProFusion(promptnet, sampler(), shares=[0.0, 1.0]).learn(tiny_base, photos)
    alone = ProFusion(promptnet, sampler()).learn(tiny_base, photos[1:])
    torch.testing.assert_close(both(PROMPT, [2]), alone(PROMPT, [2]), atol=1e-4, rtol=1e-4)


def test_two_people_learn_from_their_own_photos_alone(tiny_base, promptnet, photos, monkeypatch):
    finetune = Finetune(steps=8, lr=1e-3, batch=4)
    step, seen, pairs = FinetuneOnPhoto.training_step, [], []

    def spy(base, net, shown, people):
        seen.append(people)
        return finetune(base, net, shown, people)

    def record(module, batch, index):
        pairs.append(batch)
        return step(module, batch, index)

    monkeypatch.setattr(FinetuneOnPhoto, "training_step", record)
    method = ProFusion(promptnet, sampler(), spy)
    method.learn(tiny_base, photos, variants=lambda each: each.repeat_interleave(2, 0), people=[0, 1])
    assert seen == [[0, 0, 1, 1]]
    reference, target = torch.cat(pairs).T
    assert torch.equal(reference // 2, target // 2)  # variants 0 and 1 show one person, 2 and 3 the other
    assert set(reference.tolist()) == set(target.tolist()) == {0, 1, 2, 3}
    assert not torch.equal(reference, target)
    with pytest.raises(ValueError, match=r"people \(\[0\]\) must say whom each of 2 photos shows"):
        finetune(tiny_base, promptnet, photos, [0])


def test_only_faded_rows_use_gamma():
    faded = sampler(gamma=0.4, blend="interpolate").terms(JOINT, PROMPT, [1.0])[0][0]
    assert (faded.gamma, faded.blend) == (0.4, "interpolate")
    assert sampler(gamma=0.4).terms(SEPARATE, PROMPT, [1.0])[0][0].gamma == 1


def test_interpolation_runs_from_the_generic_to_the_joint_prompt(tiny_base, promptnet, photos):
    noise = PersonalNoise(tiny_base, promptnet, photos[:1])
    x, t = torch.randn(2, *tiny_base.latent_shape), torch.tensor(500)
    ends = [Condition(PROMPT, 0, gamma, "interpolate") for gamma in (0.0, 1.0)]
    plain = [Condition("a photo of a person wearing a red hat"), Condition(PROMPT, 0)]
    with torch.no_grad():
        zero, one, generic, joint = noise(x, t, [*ends, *plain])
    assert torch.allclose(zero, generic, atol=1e-5)
    assert torch.allclose(one, joint, atol=1e-5)
    assert not torch.allclose(generic, joint, atol=1e-4)


def test_a_batched_call_equals_one_call_each(tiny_base, promptnet, photos):
    noise = PersonalNoise(tiny_base, promptnet, photos)
    x, t = torch.randn(1, *tiny_base.latent_shape), torch.tensor(300)
    conditions = [NULL, Condition(PROMPT, 0), Condition(PROMPT, 1), Condition("a photo of a person")]
    with torch.no_grad():
        together = noise(x, t, conditions)
        single = [noise(x, t, [condition])[0] for condition in conditions]
    torch.testing.assert_close(list(together), single, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fusion_eta": 1.5}, r"fusion_eta \(1.5\) must be in \[0, 1\]"),
        ({"gamma": -0.1}, r"gamma \(-0.1\)"),
        ({"steps": 0}, r"steps \(0\) must be at least 1"),
        ({"guidance": {**GUIDANCE, "txet": 1.0}}, "txet"),
        ({"guidance": {**GUIDANCE, "joint": "much"}}, r"guidance\.joint \(much\) must be a number"),
        ({"joint": [{"prompt": "joint", "weight": "fussion"}]}, "weight 'fussion' is not in"),
        ({"guidance": {**GUIDANCE, "joint": 0.0, "text": 0.0}}, "sampler.separate has no row"),
        ({"opening": [], "opening_share": 0.5}, "sampler.opening has no row"),
    ],
)
def test_settings_out_of_range_are_named(changes, message):
    with pytest.raises(ValueError, match=message):
        sampler(**changes)


def test_finetuning_trains_promptnet_and_the_projections_alone(tiny_base, promptnet, photos, tmp_path):
    before = {name: value.clone() for name, value in tiny_base.state_dict().items()}
    tuned = Finetune(steps=2, lr=1e-2, batch=2)(tiny_base, promptnet, photos)
    assert all(torch.equal(value, before[name]) for name, value in tiny_base.state_dict().items())
    trained = {id(p) for p in attention_projections(tuned.base.unet).parameters()}
    for (name, new), (_, old) in zip(
        tuned.base.unet.named_parameters(), tiny_base.unet.named_parameters(), strict=True
    ):
        assert torch.equal(new, old) != (id(new) in trained), name
    moved = [not torch.equal(a, b) for a, b in zip(tuned.promptnet.parameters(), promptnet.parameters(), strict=True)]
    assert sum(moved) > 0.9 * len(moved)


def test_what_was_learned_comes_back_from_its_file(tiny_base, promptnet, photos, tmp_path):
    method = ProFusion(promptnet, sampler(), finetune=Finetune(steps=2, lr=1e-2, batch=2))
    keep = tmp_path / "people" / "anna.safetensors"
    learned = method.learn(tiny_base, photos[:1], keep=keep)
    stamp = keep.stat().st_mtime_ns
    again = method.learn(tiny_base, photos[:1], keep=keep)
    assert keep.stat().st_mtime_ns == stamp
    assert torch.equal(learned(PROMPT, [3]), again(PROMPT, [3]))
    assert not torch.allclose(
        learned(PROMPT, [3]), ProFusion(promptnet, sampler()).learn(tiny_base, photos[:1])(PROMPT, [3])
    )


@pytest.mark.parametrize("changes", [{}, {"blend": "interpolate"}, {"opening": SEPARATE[1:], "opening_share": 0.4}])
def test_images_do_not_depend_on_how_many_are_drawn_at_once(tiny_base, promptnet, photos, changes):
    """Of several prompts, long and short, and seeds."""
    prompts = [PROMPT, PROMPT, "S* in the snow", "a pencil sketch of S*", PROMPT]
    whole, *parts = (
        ProFusion(promptnet, sampler(batch=batch, gamma=0.4, **changes)).learn(tiny_base, photos[:1])
        for batch in (None, 1, 2, 5)
    )
    expected = torch.cat([whole(prompt, [seed]) for seed, prompt in enumerate(prompts)])
    for person in parts:
        torch.testing.assert_close(person(prompts, range(5)), expected, atol=1e-4, rtol=1e-4)
        assert person.unet_evaluations == whole.unet_evaluations


@pytest.mark.slow
def compiled(net) -> set[str]:
    return {name for name, block in net.named_modules() if block._compiled_call_impl is not None}


@pytest.mark.parametrize("name", ["profusion", "prompt_only", "textual_inversion"])
def test_what_is_compiled_is_a_copy_that_shares_the_weights(tiny_base, promptnet, photos, name):
    base, words = copy.copy(tiny_base), {"steps": 1, "lr": 1e-3, "batch": 1, "templates": ["a photo of S*"]}
    base.compiled = True
    makers = {
        "profusion": lambda: ProFusion(promptnet, sampler()),
        "prompt_only": lambda: PromptOnly(sampler()),
        "textual_inversion": lambda: TextualInversion(sampler(), **words),
    }
    person = makers[name]().learn(base, photos[:1])
    assert compiled(person.base.unet) and compiled(person.noise.base.unet)
    assert not compiled(tiny_base.unet) and not compiled(promptnet)
    if name == "profusion":
        assert compiled(person.noise.promptnet)
    for mine, theirs in zip(person.base.parameters(), tiny_base.parameters(), strict=True):
        assert mine.data_ptr() == theirs.data_ptr()


def test_compiled_blocks_draw_the_same(tiny_base, promptnet, photos):
    base = copy.copy(tiny_base)
    base._modules = {name: copy.deepcopy(part) for name, part in tiny_base._modules.items()}
    base.compiled = True
    learn = Finetune(steps=1, lr=1e-4, batch=1)
    one, other = (
        ProFusion(promptnet, sampler(steps=1), learn).learn(b, photos[:1])(PROMPT, [3]) for b in (base, tiny_base)
    )
    torch.testing.assert_close(one, other, atol=1e-3, rtol=1e-3)
