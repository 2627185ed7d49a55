"""The gates on closed forms: what a perfect world scores, and what a world with a known fault does."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
import yaml
from scipy import stats
from torch import Tensor, nn

from src.metrics.identity import Identity
from src.models.base import TextToImage
from src.models.personal import PersonalNoise
from src.models.promptnet import PromptNet
from src.sampling import Condition, fusion_sample, seeded_randn_like
from src.tiny_world import photos as tiny_people
from src.tiny_world import renderer
from src.tiny_world.gates import base as gates_generator
from src.tiny_world.gates import finetuning as gates_finetuning
from src.tiny_world.gates import inversion
from src.tiny_world.gates import path as gates_path
from src.tiny_world.gates import promptnet as gates_person
from src.tiny_world.gates import words as gates_words
from src.tiny_world.gates.gate import gate, print_gates
from src.tiny_world.gates.suite import run_gates
from src.tiny_world.judges.identity import write_onnx
from src.tiny_world.names import Names
from src.tiny_world.renderer.people import SPLITS

PEOPLE = SPLITS["validation"][:40]
CONF = Path(__file__).parents[2] / "conf"


def blurred(images: Tensor) -> Tensor:
    return F.avg_pool2d(F.pad(images, (4, 4, 4, 4), mode="replicate"), 9, 1)


# --- rows ---


def test_a_gate_holds_at_its_bound_and_not_beyond() -> None:
    assert gate(1, "a", 26.0, 26.0, {}).held and not gate(1, "a", 25.9, 26.0, {}).held
    assert gate(4, "b", 0.6, 0.6, {}, at_least=False).held and not gate(4, "b", 0.61, 0.6, {}, at_least=False).held
    with pytest.raises(ValueError, match=r"gate 7 \(c\) measured nan"):
        gate(7, "c", float("nan"), 0.9, {})


def test_the_table_says_what_is_missed_and_what_would_reach_it() -> None:
    text = print_gates([gate(1, "VAE: PSNR, dB", 27.0, 26.0, {}), gate(4, "gamma", 0.8, 0.6, {}, at_least=False)])
    assert "≥ 26.000  held" in text and "≤ 0.600  MISSED" in text and "1 of 2 are held" in text
    assert "What would reach gate 4" in text and "blend=interpolate" in text and "reach gate 1" not in text


# --- gate 1 ---


def test_psnr_of_a_constant_error() -> None:
    image = torch.rand(3, 3, 8, 8) - 0.5
    torch.testing.assert_close(gates_generator.psnr(image + 0.2, image), torch.full((3,), 20.0))


@pytest.mark.parametrize("without", [gates_generator._no_mark, gates_generator._grey_iris])
def test_a_perfect_vae_keeps_every_detail_and_a_blur_none(without: Callable) -> None:
    shown, hidden = gates_generator.detail_pairs(PEOPLE, without)
    assert len(shown) > 20
    torch.testing.assert_close(gates_generator.survival(lambda x: x, shown, hidden), torch.ones(len(shown)))
    left = gates_generator.survival(lambda x: x / 2 + 0.3, shown, hidden)  # half of the contrast, whatever the tint
    torch.testing.assert_close(left, torch.full_like(left, 0.5))
    assert gates_generator.survival(blurred, shown, hidden).max() < gates_generator.KEPT


def test_the_hue_of_an_iris_is_told_by_what_keeps_it_and_not_by_what_turns_it() -> None:
    pairs = gates_generator.detail_pairs(PEOPLE, gates_generator._grey_iris)
    assert gates_generator.colour_correlation(lambda x: x / 2 + 0.3, *pairs) == pytest.approx(1, abs=1e-4)
    assert gates_generator.colour_correlation(lambda x: -x, *pairs) == pytest.approx(-1, abs=1e-4)


def test_a_mark_that_a_beard_hides_is_not_asked_for() -> None:
    scene = renderer.people.reference_scene(0)
    bare = replace(renderer.people.person(0), mark=(62, 28, 24), mark_at="chin", beard="none")
    covered = replace(bare, beard="full", hair=(73, 33, 29))  # a beard of the mark's colour
    for person, seen in ((bare, True), (covered, False)):
        pictures = [gates_generator.picture(p, scene)[None] for p in (person, replace(person, mark_at="none"))]
        assert gates_generator.visible(*pictures).tolist() == [seen]


# --- gate 3 ---


def test_colours_are_exchanged_and_nothing_else() -> None:
    for seed in PEOPLE:
        scene = gates_generator.coloured_scene(seed)
        other = gates_generator.swapped(scene)
        assert gates_generator.swapped(other) == scene != other
        assert replace(other, headwear=scene.headwear, clothes=scene.clothes) == scene
        assert other.headwear.split()[0] == scene.clothes.split()[0] != other.clothes.split()[0]


def test_a_judge_prefers_the_caption_it_finds_closer() -> None:
    def judge(images: Tensor, prompts: list[str]) -> Tensor:
        return images.mean((1, 2, 3)) * torch.tensor([1.0 if "red" in p else -1.0 for p in prompts])

    images = torch.stack([torch.full((3, 4, 4), v) for v in (1.0, 1.0, 1.0, -1.0)])
    assert gates_generator.preferred(judge, images, ["red"] * 4, ["blue"] * 4) == 0.75


def test_a_row_of_pictures_is_what_the_sampler_makes_of_it_alone(tiny_base: TextToImage) -> None:
    promptnet = new_promptnet(tiny_base)
    photos = torch.cat([tiny_people.reference(p, ()) for p in PEOPLE[:3]])
    with torch.no_grad():
        text = inversion.person_text(tiny_base, promptnet, photos)
        rows = inversion.sample_rows(tiny_base, text, [5, 6, 7], guidance=1.5, steps=3, batch=2)
        randn_like = seeded_randn_like([6])
        alone = fusion_sample(
            PersonalNoise(tiny_base, promptnet, photos[1:2]),
            randn_like(torch.empty(1, *tiny_base.latent_shape)),
            tiny_base.schedule(3),
            joint=(),
            separate=[(Condition("a photo of S*", 0), 1.5)],
            fusion_steps=0,
            fusion_eta=0.0,
            eta=0.0,
            randn_like=randn_like,
        )
        torch.testing.assert_close(rows[1:2], tiny_base.decode(alone), atol=1e-4, rtol=0)


# --- gates 4 and 5: U-Nets whose noise is a linear reading of some of the text states ---


class Reader(nn.Module):
    """eps, the same at every place, is the sum of four numbers of the text states at `positions`."""

    def __init__(self, positions: list[int] | slice):
        super().__init__()
        self.positions, self.config = positions, SimpleNamespace(sample_size=16, in_channels=4)
        self.dtype = torch.float32

    def forward(self, x: Tensor, t: Tensor, encoder_hidden_states: Tensor, **_: object) -> SimpleNamespace:
        read = encoder_hidden_states[:, self.positions, :4].sum(1)
        return SimpleNamespace(sample=read[..., None, None].expand_as(x))


def reading(base: TextToImage, positions: list[int] | slice) -> TextToImage:
    other = object.__new__(TextToImage)
    other.__dict__ = dict(base.__dict__)
    other._modules = dict(base._modules) | {"unet": Reader(positions)}
    return other


PROMPT, GENERIC = "a photo of S* wearing a red hat", "a photo of a person wearing a red hat"


@pytest.fixture
def photo() -> Tensor:
    return tiny_people.reference(PEOPLE[0], ())


def influence(base: TextToImage, photo: Tensor) -> dict[str, float]:
    token = torch.randn(1, 1, 32, generator=torch.Generator().manual_seed(1))
    return gates_words.remaining_influence(base, photo, token, PROMPT, draws=3)


def test_gamma_is_inert_for_a_unet_that_reads_elsewhere(tiny_base: TextToImage, photo: Tensor) -> None:
    left = influence(reading(tiny_base, [9, -1]), photo)  # end token and the last pad
    assert all(left[f"position {gamma}"] == pytest.approx(1, abs=1e-5) for gamma in (0.6, 0.3, 0.0))


def test_gamma_is_all_for_a_unet_that_reads_the_word_alone(tiny_base: TextToImage, photo: Tensor) -> None:
    left = influence(reading(tiny_base, [4]), photo)
    token = torch.randn(1, 1, 32, generator=torch.Generator().manual_seed(1))
    own, generic = tiny_base.text([PROMPT], token)[0, 4, :4], tiny_base.text([GENERIC])[0, 4, :4]
    expected = generic.norm() / (own - generic).norm()  # nothing of S* is left: what differs is the word it replaces
    assert left["position 0.0"] == pytest.approx(float(expected), rel=1e-4)


def test_interpolation_is_linear_for_a_linear_unet(tiny_base: TextToImage, photo: Tensor) -> None:
    left = influence(reading(tiny_base, slice(None)), photo)
    assert [left[f"interpolate {g}"] for g in (0.6, 0.3, 0.0)] == pytest.approx([0.6, 0.3, 0.0], abs=1e-4)


def test_interpolation_at_gamma_0_is_nothing_for_any_unet(tiny_base: TextToImage, photo: Tensor) -> None:
    assert influence(tiny_base, photo)["interpolate 0.0"] == pytest.approx(0, abs=1e-5)


def test_words_change_nothing_for_a_unet_that_reads_what_stands_before_them(
    tiny_base: TextToImage, photo: Tensor
) -> None:
    token = inversion.noun_embedding(tiny_base)
    changed = gates_words.token_effects(reading(tiny_base, [1, 2, 3, 4]), photo, token, ["at the beach"], draws=2)
    assert changed == ([pytest.approx(0, abs=1e-4)], [pytest.approx(0, abs=1e-4)])


def test_a_word_counts_after_s_as_it_does_after_the_noun_that_s_is(tiny_base: TextToImage, photo: Tensor) -> None:
    """With a U-Net that reads what stands at 4 and later, both effects are the norm of the text states' difference."""
    token = inversion.noun_embedding(tiny_base)
    (after,), (generic,) = gates_words.token_effects(
        reading(tiny_base, slice(4, None)), photo, token, ["at the beach"], draws=2
    )
    for found, texts in (
        (after, tiny_base.text(["a photo of S*", "a photo of S* at the beach"], token)),
        (generic, tiny_base.text(["a photo of a person", "a photo of a person at the beach"])),
    ):
        bare, said = texts[:, 4:, :4].sum(1)
        assert found == pytest.approx(16 * float((said - bare).norm()), rel=1e-3)


def test_the_gates_say_nothing_that_an_evaluation_prompt_asks_for() -> None:
    families = yaml.safe_load((CONF / "prompt_set" / "tiny.yaml").read_text())
    evaluated = tiny_people.asked_values(prompt for prompts in families.values() for prompt in prompts)
    said = [*gates_words.JOINT, *(f"{inversion.PROMPT} {words}" for words in gates_words.WORDS)]
    for prompt in said:
        assert not set(renderer.captions.asked_for(prompt).values()) & evaluated - {"photo"}, prompt
        assert len(renderer.captions.asked_for(prompt)) > 1
        assert set(prompt.replace("S*", "").split()) <= set(renderer.captions.WORDS)


# --- gates 6 to 8 ---


def new_promptnet(base: TextToImage) -> PromptNet:
    torch.manual_seed(3)
    return (
        PromptNet.from_unet(base.unet, vision_width=48, text_width=32, pseudo_channels=8).requires_grad_(False).eval()
    )


def test_an_optimised_token_lowers_the_loss_and_leaves_the_base_alone(tiny_base: TextToImage, photo: Tensor) -> None:
    token = inversion.optimise_token(tiny_base, photo, steps=12, lr=0.3, batch=4)
    assert token.shape == (1, 1, 32) and not token.requires_grad
    torch.testing.assert_close(token, inversion.optimise_token(tiny_base, photo, steps=12, lr=0.3, batch=4))
    assert all(weight.grad is None for weight in tiny_base.parameters())
    start, end = (
        sum(
            gates_person.third_losses(tiny_base, new_promptnet(tiny_base), photo, t, k, draws=4)["token"]
            for k in range(3)
        )
        for t in (inversion.noun_embedding(tiny_base), token)
    )
    assert end < start


def test_a_promptnet_that_says_the_token_closes_all_of_the_gap(tiny_base: TextToImage, photo: Tensor) -> None:
    promptnet, token = new_promptnet(tiny_base), torch.randn(1, 1, 32)
    promptnet.region_prompt_output.weight.zero_()
    promptnet.region_prompt_output.bias.copy_(token[0, 0])
    for third in range(3):
        loss = gates_person.third_losses(tiny_base, promptnet, photo, token, third, draws=3)
        assert loss["promptnet"] == pytest.approx(loss["token"], rel=1e-5)


def test_the_share_of_the_gap() -> None:
    assert gates_person.closed_share(generic=3.0, promptnet=2.0, token=1.0) == 0.5
    assert gates_person.closed_share(generic=3.0, promptnet=4.0, token=1.0) == -0.5
    assert gates_person.closed_share(generic=1.0, promptnet=0.9, token=1.0) == 1.0  # there is no gap
    assert gates_person.closed_share(generic=1.0, promptnet=1.1, token=1.2) == 0.0


def test_the_share_of_people_who_are_closer() -> None:
    found = torch.ones(4, dtype=torch.bool)
    assert gates_person.share_closer(torch.eye(4), found) == 1
    assert gates_person.share_closer(-torch.eye(4), found) == 0
    assert gates_person.share_closer(torch.zeros(4, 4), found) == 0  # no better than a stranger is no recognition
    assert gates_person.share_closer(torch.eye(4), torch.tensor([True, True, False, False])) == 0.5


def test_the_paired_interval_is_students() -> None:
    values = [0.1, 0.3, -0.05, 0.2]
    mean, low, high = gates_finetuning.paired_interval(values)
    expected = stats.ttest_1samp(values, 0).confidence_interval()
    assert (mean, low, high) == pytest.approx((0.1375, expected.low, expected.high))
    with pytest.raises(ValueError, match="1 people: an interval needs at least 2"):
        gates_finetuning.paired_interval([0.1])


class MeanColour(nn.Module):
    """[B, 3, 112, 112] -> the mean of each channel."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean((2, 3))


@pytest.fixture(scope="session")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Identity:
    path = tmp_path_factory.mktemp("judge") / "mean.onnx"
    write_onnx(MeanColour(), path)
    return Identity(name="mean", model=str(path))


@dataclass(frozen=True)
class Idle:
    """A fine-tuning that learns nothing."""

    lr: float = 1e-3
    steps: int = 5

    def __call__(self, base: TextToImage, promptnet: PromptNet, photos: Tensor) -> SimpleNamespace:
        return SimpleNamespace(base=base, promptnet=promptnet)


def test_a_finetuning_that_learns_nothing_moves_nothing(tiny_base: TextToImage, judge: Identity) -> None:
    promptnet, grid = new_promptnet(tiny_base), {(1e-4, 5): 1, (1e-3, 5): 1}
    row = gates_finetuning.finetuning_gate(tiny_base, promptnet, [judge], Idle(), people=PEOPLE[:2], grid=grid, steps=2)
    assert row.value == 0 and not row.held
    assert {name: len(curve["each"]) for name, curve in row.details["curves"].items()} == {
        "lr 0.0001, 5 steps": 1,
        "lr 0.001, 5 steps": 2,
    }


def test_who_is_recognised_does_not_depend_on_the_scene(tiny_base: TextToImage, judge: Identity) -> None:
    row = gates_person.identity_gate(tiny_base, new_promptnet(tiny_base), [judge], people=PEOPLE[:3], steps=2)
    assert 0 <= row.value <= 1 and row.details["judges"]["mean"]["face_found"] == 1
    json.dumps(asdict(row), allow_nan=False)


def test_a_name_says_who_it_is_to_a_base_that_reads_it(tiny_base: TextToImage, judge: Identity) -> None:
    width = tiny_base.text("").shape[-1]
    row = gates_person.names_gate(tiny_base, Names(width), [judge], people=PEOPLE[:3], steps=2)
    assert row.number == 0 and 0 <= row.value <= 1 and row.details["people"] == 3
    with pytest.raises(ValueError, match="gate 0 needs the names"):
        run_gates(tiny_base, None, Path(), None, only=[0])


def test_the_path_is_looked_at_where_identity_has_come_nine_tenths_of_its_way() -> None:
    path = {0: 0.2, 25: 0.4, 50: 0.6, 100: 0.93, 200: 1.0, 400: 0.9}
    assert gates_path.over_fitted({n: {"identity": v} for n, v in path.items()}) == 100
    assert gates_path.over_fitted({0: {"identity": 0.5}, 25: {"identity": 0.4}}) == 0


def test_words_count_along_the_path_as_before_it_for_a_finetuning_that_learns_nothing(
    tiny_base: TextToImage, judge: Identity
) -> None:
    """A U-Net that reads what stands at 0 to 3 alone hears no words at all: nothing over nothing is no number."""
    base = reading(tiny_base, slice(4, None))
    row = gates_path.path_gate(
        base, new_promptnet(tiny_base), [judge], Idle(), people=PEOPLE[:1], path=(5, 10), draws=2, steps=2
    )
    effects = [step["effect"] for step in row.details["path"].values()]
    assert row.number == 5 and effects == pytest.approx([effects[0]] * 3) and effects[0] > 0
    assert row.details["at"] == 0 and row.details["people"] == 1


def test_gates_run_by_number_and_refuse_what_is_not_there(tiny_base: TextToImage, tmp_path: Path) -> None:
    told: list[str] = []
    tokens = {"people": 1, "echo": told.append}
    with pytest.raises(ValueError, match="there is no gate 10"):
        run_gates(tiny_base, None, tmp_path, None, only=[10])
    with pytest.raises(ValueError, match="gate 7 needs a PromptNet"):
        run_gates(tiny_base, None, tmp_path, None, only=[7])
    with pytest.raises(FileNotFoundError, match="text_a"):
        run_gates(tiny_base, None, tmp_path, None, only=[3], **tokens)
    rows = run_gates(tiny_base, None, tmp_path, None, only=[1], **tokens)
    assert [row.number for row in rows] == [1, 1, 1] and len(told) == 1
    json.dumps([asdict(row) for row in rows], allow_nan=False)
