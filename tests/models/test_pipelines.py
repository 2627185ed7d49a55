"""The exported folder: stock diffusers reads it, and its S* is ours."""

import json

import pytest
import torch
from diffusers import StableDiffusionPipeline

from src.models.pipelines import export_person, pseudo_word, scheduler_of
from src.models.promptnet import PromptNet

PROMPT = "a photo of S*"


def net(base, **options):
    return PromptNet.from_unet(base.unet, vision_width=48, text_width=32, pseudo_channels=4, **options)


def stock_states(pipeline, prompt):
    return pipeline.encode_prompt(prompt, "cpu", 1, False)[0]


@torch.no_grad()
@pytest.mark.parametrize("region_kernel", [None, 2])
def test_stock_diffusers_reads_the_folder_and_encodes_the_word_as_we_do(tiny_base, tmp_path, region_kernel):
    photo = torch.rand(3, 64, 64) * 2 - 1
    word = pseudo_word(tiny_base, net(tiny_base, region_kernel=region_kernel), photo, timestep=500)
    assert word.shape == (4 if region_kernel else 1, 32)
    export_person(tiny_base, word, tmp_path / "person", prompt=PROMPT, about={"timestep": 500})
    pipeline = StableDiffusionPipeline.from_pretrained(tmp_path / "person")
    tail = " wearing a red hat" if region_kernel is None else ""
    for prompt in (PROMPT, PROMPT + tail, "a person at the beach"):
        ours = tiny_base.text(prompt, word[None] if "S*" in prompt else None)
        size = 4 + len(word) if region_kernel else None  # with several tokens, ours move no word behind them
        torch.testing.assert_close(stock_states(pipeline, prompt)[:, :size], ours[:, :size], rtol=1e-4, atol=1e-5)
    assert not torch.allclose(tiny_base.text(PROMPT, -word[None]), tiny_base.text(PROMPT, word[None]), atol=1e-2)
    image = pipeline(PROMPT, num_inference_steps=2, output_type="pt").images
    assert image.shape == (1, 3, 64, 64)
    assert json.loads((tmp_path / "person" / "person.json").read_text()) == {"timestep": 500}
    assert not list((tmp_path / "person").rglob("*.bin"))


def test_the_exported_base_is_the_base(tiny_base, tmp_path):
    export_person(tiny_base, torch.zeros(1, 32), tmp_path / "person", prompt=PROMPT, about={})
    pipeline = StableDiffusionPipeline.from_pretrained(tmp_path / "person")
    for name in ("unet", "vae"):
        ours, theirs = getattr(tiny_base, name).state_dict(), getattr(pipeline, name).state_dict()
        assert all(torch.equal(ours[key], theirs[key]) for key in ours)
    assert "S*" not in tiny_base.tokenizer.get_vocab()


def test_the_word_depends_on_photo_timestep_and_seed(tiny_base):
    promptnet, photo = net(tiny_base), torch.rand(3, 64, 64) * 2 - 1
    first = pseudo_word(tiny_base, promptnet, photo, timestep=500)
    assert torch.equal(first, pseudo_word(tiny_base, promptnet, photo, timestep=500))
    for other in (
        pseudo_word(tiny_base, promptnet, photo, timestep=400),
        pseudo_word(tiny_base, promptnet, photo, timestep=500, seed=1),
        pseudo_word(tiny_base, promptnet, -photo, timestep=500),
    ):
        assert not torch.equal(first, other)
    with pytest.raises(ValueError, match=r"timestep \(1000\) must be in \[0, 999\]"):
        pseudo_word(tiny_base, promptnet, photo, timestep=1000)


def test_an_existing_folder_and_a_prompt_without_the_word_are_named(tiny_base, tmp_path):
    with pytest.raises(ValueError, match="exists"):
        export_person(tiny_base, torch.zeros(1, 32), tmp_path, prompt=PROMPT, about={})
    with pytest.raises(ValueError, match="must hold the placeholder"):
        export_person(tiny_base, torch.zeros(1, 32), tmp_path / "new", prompt="a photo", about={})
    assert not list(tmp_path.iterdir())


def test_the_schedule_survives(tiny_base):
    scheduler = scheduler_of(tiny_base)
    assert torch.allclose(scheduler.alphas_cumprod.double(), tiny_base.alpha_bar, rtol=1e-4)
    assert float(scheduler.final_alpha_cumprod) == pytest.approx(tiny_base.final_alpha_bar, rel=1e-4)
