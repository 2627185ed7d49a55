"""Parity with the authors' released code, on numbers recorded from it (see fixtures/official/README.md)."""

import json
from pathlib import Path

import pytest
import torch
from diffusers import UNet2DConditionModel
from safetensors.torch import load_file
from torch import Tensor
from transformers import CLIPModel, CLIPTokenizer

from src.diffusion import Schedule, add_noise, denoising_loss
from src.models.base import TextToImage
from src.models.promptnet import PromptNet
from src.sampling import Condition, fusion_sample

OFFICIAL = Path(__file__).parent / "fixtures" / "official"
TRAJECTORIES = json.loads((OFFICIAL / "fusion" / "cases.json").read_text())
TEXTS = json.loads((OFFICIAL / "text" / "manifest.json").read_text())


def relative(ours: Tensor, recorded: Tensor) -> float:
    """Largest difference as a share of the largest recorded value."""
    assert ours.shape == recorded.shape
    return ((ours - recorded).abs().max() / recorded.abs().max()).item()


def case(path: str, name: str) -> dict[str, Tensor]:
    """The tensors of one recorded case, without its name."""
    tensors = load_file(OFFICIAL / path)
    return {key.removeprefix(f"{name}."): value for key, value in tensors.items() if key.startswith(f"{name}.")}


def ours(prompt: str) -> str:
    return prompt.replace("holder", "S*")


@pytest.fixture(scope="module")
def official(tiny_base) -> TextToImage:
    """The recorded U-Net and text encoder behind our adapter; its VAE and image encoder are not asked."""
    return TextToImage(
        vae=tiny_base.vae,
        unet=UNet2DConditionModel.from_pretrained(OFFICIAL / "unet"),
        text_encoder=CLIPModel.from_pretrained(OFFICIAL / "text" / "clip"),
        tokenizer=CLIPTokenizer.from_pretrained(OFFICIAL / "text" / "tokenizer"),
        image_encoder=tiny_base.image_encoder,
        alpha_bar=Schedule.ddim(50).alpha_bar,
    )


@pytest.fixture
def promptnet() -> PromptNet:
    return PromptNet.from_official(OFFICIAL / "promptnet" / "rk4_clip1024")


@pytest.mark.parametrize("name", ["b3_32", "b2_64_6tok"])
def test_unet(official, name):
    recorded = case("unet/io.safetensors", name)
    eps = official.predict_noise(recorded["sample"], recorded["timestep"], recorded["encoder_hidden_states"])
    assert relative(eps, recorded["out"]) < 1e-5


@pytest.mark.parametrize("name", ["mid_s1", "end_s1"])
def test_text(official, name):
    recorded, text = case("text/io.safetensors", name), TEXTS[name]
    prompts = ["", ours(text["prompt"]), *filter(None, [text["ref_prompt"]])]
    states = official.text(prompts, recorded["pseudo"], text["scale"])
    assert relative(states, recorded["out"]) < 1e-5
    head = official.tokenizer(text["prompt"], padding="max_length").input_ids[: len(text["head_ids"])]
    assert head == text["head_ids"]


def test_text_layers(official):
    """What enters the layers before and after the pseudo-word is inserted, and what leaves each of them."""
    recorded, prompt = case("text/io.safetensors", "mid_s1"), TEXTS["mid_s1"]["prompt"]
    text_model, entered, left = official.text_encoder.text_model, [], []
    hooks = [
        text_model.encoder.register_forward_pre_hook(
            lambda module, args, kwargs: entered.append(kwargs["inputs_embeds"]), with_kwargs=True
        ),
        *(
            layer.register_forward_hook(lambda module, args, output: left.append(output))
            for layer in text_model.encoder.layers
        ),
    ]
    official.text([prompt])
    left.clear()
    official.text([ours(prompt)], recorded["pseudo"])
    for hook in hooks:
        hook.remove()
    assert relative(entered[0], recorded["embeddings"]) < 1e-6
    for number, state in enumerate([entered[1], *left]):
        assert relative(state, recorded[f"hidden.{number}"]) < 1e-5


def test_promptnet(promptnet):
    recorded = case("promptnet/io.safetensors", "one_token_rk4_32")
    photo = recorded["sample"], recorded["encoder_hidden_states"]
    pseudo = promptnet(recorded["promptnet_cond"], recorded["timestep"], *photo)
    assert relative(pseudo, recorded["prompt"]) < 1e-5


def replay(official: TextToImage, promptnet: PromptNet, name: str) -> tuple[Tensor, list[Tensor], dict]:
    """Our sampler on a recorded case, fed its noise in order: final latents, pseudo-words, and the record."""
    args, recorded = TRAJECTORIES[name]["args"], load_file(OFFICIAL / "fusion" / f"{name}.safetensors")
    draws, pseudos = iter(recorded.get("noise", ())), []

    def noise(x, t, conditions):
        pseudo = promptnet(x, t, recorded["ref_image_latent"], recorded["ref_image_embed"])
        pseudos.append(pseudo)
        gamma = torch.tensor([condition.gamma for condition in conditions])
        text = official.text([condition.prompt for condition in conditions], pseudo, gamma)
        return official.predict_noise(x.expand(len(conditions), -1, -1, -1), t, text).split(1)

    prompt = ours(args["prompt"])
    separate = [(Condition(prompt, 0), args["guidance_scale"])]
    if args["ref_prompt"] is not None:
        separate.append((Condition(args["ref_prompt"]), args["guidance_scale_ref"]))
    final = fusion_sample(
        noise,
        recorded["initial_latents"],
        Schedule.ddim(args["num_inference_steps"], start=args["st"]),
        joint=[(Condition(prompt, 0, args["refine_emb_scale"]), args["refine_guidance_scale"])],
        separate=separate,
        fusion_steps=args["refine_step"],
        fusion_eta=args["refine_eta"],
        eta=args["eta"],
        randn_like=lambda x: next(draws),
    )
    assert not list(draws), "all recorded noise is used"
    return final, pseudos, recorded


@torch.no_grad()
@pytest.mark.parametrize("name", sorted(TRAJECTORIES))
def test_trajectory(official, promptnet, name):
    final, pseudos, recorded = replay(official, promptnet, name)
    assert relative(final, recorded["final"]) < 1e-4
    assert len(pseudos) == TRAJECTORIES[name]["n_promptnet"]
    assert relative(torch.stack(pseudos), recorded["pseudo"]) < 1e-4


def test_training_step(official, promptnet):
    recorded = load_file(OFFICIAL / "train_loss" / "one_token.safetensors")
    step = json.loads((OFFICIAL / "train_loss" / "manifest.json").read_text())["one_token"]
    settings = step["optimizer"]
    t, noise = recorded["timesteps"], recorded["noise"]
    x_t = add_noise(recorded["latents"], noise, t, official.noise_levels)
    assert relative(x_t, recorded["noisy_latents"]) < 1e-5

    pseudo = promptnet(x_t, t, recorded["ref_latents"], recorded["vision_hidden_states"])
    assert relative(pseudo, recorded["pseudo_prompt"]) < 1e-5
    text = official.text("a photo of S*", pseudo, pad=False)
    assert relative(text, recorded["encoder_hidden_states"]) < 1e-5
    eps = official.predict_noise(x_t, t, text)
    assert relative(eps, recorded["pred"]) < 1e-5
    loss = denoising_loss(eps, noise)
    assert loss.item() == pytest.approx(step["loss"], rel=1e-5)

    optimizer = torch.optim.AdamW(
        promptnet.parameters(),
        lr=settings["lr"],
        betas=settings["betas"],
        weight_decay=settings["weight_decay"],
        eps=settings["eps"],
    )
    loss.backward()
    gradients = {key.removeprefix("grad."): value for key, value in recorded.items() if key.startswith("grad.")}
    assert len(gradients) == 7
    for name, gradient in gradients.items():
        assert relative(promptnet.get_parameter(name).grad, gradient) < 1e-5, name
    norm = torch.nn.utils.clip_grad_norm_(promptnet.parameters(), settings["max_grad_norm"])
    assert norm.item() == pytest.approx(step["total_grad_norm_before_clip"], rel=1e-5)
    before = {name: p.detach().clone() for name, p in promptnet.named_parameters()}
    optimizer.step()
    for name in ("conv_in.weight", "region_prompt_output.bias"):
        assert relative(promptnet.get_parameter(name), recorded[f"after_step.{name}"]) < 1e-5
    for module, expected in step["update_norm_first_adamw_step"].items():
        moved = [p - before[name] for name, p in promptnet.named_parameters() if name.split(".")[0] == module]
        if moved:  # the residual heads are not ours
            total = torch.cat([m.flatten() for m in moved]).norm().item()
            assert total == pytest.approx(expected, rel=1e-3), module
