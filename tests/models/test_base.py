import json
import shutil

import pytest
import torch
from diffusers import DDIMScheduler
from safetensors.torch import load_file, save_file
from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel

from src.diffusion import add_noise, eps_to_v
from src.models.base import TextToImage, load_base
from src.models.folders import check_sha256
from tests.conftest import WORDS


def test_everything_is_frozen_in_eval_mode_and_of_the_right_size(tiny_base):
    assert not any(p.requires_grad for p in tiny_base.parameters())
    assert not any(module.training for module in tiny_base.modules())
    assert (tiny_base.image_size, tiny_base.latent_shape) == (64, (4, 16, 16))
    assert tiny_base.known_words == frozenset(WORDS)
    assert tiny_base.prediction_type == "epsilon"


def test_images_become_scaled_latents_and_latents_clamped_images(tiny_base):
    image = torch.rand(2, 3, 64, 64) * 2 - 1
    posterior = tiny_base.vae.encode(image).latent_dist
    latents = tiny_base.encode(image)
    assert latents.shape == (2, *tiny_base.latent_shape)
    torch.testing.assert_close(latents, posterior.mean * 0.5)
    ones = tiny_base.encode(image, torch.ones_like)
    torch.testing.assert_close(ones, (posterior.mean + posterior.std) * 0.5)
    mean, std = tiny_base.posterior(image)
    torch.testing.assert_close(mean + std, ones)
    decoded = tiny_base.decode(50 * latents)
    torch.testing.assert_close(decoded, tiny_base.vae.decode(100 * latents).sample.clamp(-1, 1))
    assert decoded.shape == image.shape and decoded.abs().max() <= 1


def test_the_image_encoder_sees_what_clips_own_preprocessing_shows_it(tiny_base):
    pixels = torch.randint(60, 200, (2, 3, 64, 64), dtype=torch.uint8)
    processor = CLIPImageProcessor(size={"shortest_edge": 32}, do_center_crop=False)
    expected = processor(list(pixels), return_tensors="pt").pixel_values
    seen = []
    hook = tiny_base.image_encoder.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    tokens = tiny_base.see(pixels.float() / 127.5 - 1)
    hook.remove()
    assert tokens.shape == (2, 5, 48)
    torch.testing.assert_close(seen[0], expected, rtol=0, atol=0.02)  # the processor rounds to 8 bits


def test_the_vision_tokens_are_taken_before_the_last_layer_norm(tiny_base):
    image = torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        tokens = tiny_base.see(image)
        pooled = tiny_base.image_encoder.post_layernorm(tokens[:, 0])
    mean, std = torch.tensor([[0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]])
    pixels = ((image + 1) / 2 - mean.view(3, 1, 1)) / std.view(3, 1, 1)
    torch.testing.assert_close(tiny_base.image_encoder(pixels).pooler_output, pooled, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("t", [7, torch.tensor(7), torch.tensor([7, 7])])
def test_the_timestep_may_be_a_number_a_scalar_or_a_batch(tiny_base, t):
    x, text = torch.randn(2, 4, 16, 16), tiny_base.text(["a red hat", ""])
    expected = tiny_base.unet(x, torch.tensor([7, 7]), text).sample
    torch.testing.assert_close(tiny_base.predict_noise(x, t, text), expected, rtol=0, atol=0)


def test_masked_text_is_not_seen(tiny_base):
    x, text = torch.randn(1, 4, 16, 16), tiny_base.text(["a red hat in the snow"])
    mask = torch.arange(text.shape[1])[None] < 5
    seen = tiny_base.predict_noise(x, 400, text, mask)
    other = torch.where(mask[..., None], text, torch.randn_like(text))
    torch.testing.assert_close(tiny_base.predict_noise(x, 400, other, mask), seen, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(tiny_base.predict_noise(x, 400, text[:, :5]), seen, rtol=1e-4, atol=1e-5)
    assert (tiny_base.predict_noise(x, 400, text) - seen).abs().max() > 1e-4


def with_prediction(base, prediction_type):
    return TextToImage(
        vae=base.vae,
        unet=base.unet,
        text_encoder=base.text_encoder,
        tokenizer=base.tokenizer,
        image_encoder=base.image_encoder,
        alpha_bar=base.alpha_bar,
        prediction_type=prediction_type,
    )


@pytest.mark.parametrize("t", [40, torch.tensor([1, 900])])
def test_a_velocity_model_is_converted_to_noise(tiny_base, t):
    base = with_prediction(tiny_base, "v_prediction")
    x_0, eps, text = torch.randn(2, 4, 16, 16), torch.randn(2, 4, 16, 16), tiny_base.text(["", "a hat"])
    x_t = add_noise(x_0, eps, t, base.noise_levels)
    converted = base.predict_noise(x_t, t, text)
    velocity = eps_to_v(converted, x_t, t, base.noise_levels)
    torch.testing.assert_close(velocity, tiny_base.predict_noise(x_t, t, text), rtol=1e-4, atol=1e-4)
    with pytest.raises(ValueError, match="prediction_type"):
        with_prediction(tiny_base, "sample")


def test_gradients_pass_the_frozen_networks(tiny_base):
    pseudo = torch.randn(1, 1, 32, requires_grad=True)
    text = tiny_base.text("a photo of S*", pseudo, pad=False)
    tiny_base.predict_noise(torch.randn(1, 4, 16, 16), 500, text).square().mean().backward()
    assert pseudo.grad.abs().max() > 0
    assert all(p.grad is None for p in tiny_base.parameters())


@pytest.mark.parametrize("to_one", [False, True])
def test_the_schedule_is_the_folders(tiny_base_folder, tmp_path, to_one):
    folder = shutil.copytree(tiny_base_folder, tmp_path / "base")
    path = folder / "scheduler" / "scheduler_config.json"
    config = json.loads(path.read_text()) | {"beta_end": 0.02, "set_alpha_to_one": to_one, "steps_offset": 3}
    path.write_text(json.dumps(config))
    (folder / "vocabulary.txt").unlink()
    base, scheduler = load_base(folder), DDIMScheduler.from_config(config)
    scheduler.set_timesteps(6)
    schedule = base.schedule(6)
    assert [t for t, _ in schedule.steps()] == scheduler.timesteps.tolist()
    torch.testing.assert_close(schedule.alpha_bar.float(), scheduler.alphas_cumprod)
    assert schedule.alpha_bar_at(-1) == pytest.approx(float(scheduler.final_alpha_cumprod))
    assert [t for t, _ in base.schedule(6, 400).steps()] == [335, 169, 3]
    assert base.known_words is None


def test_weights_in_half_precision_are_read_in_full(tiny_base, tiny_base_folder, tmp_path):
    folder = shutil.copytree(tiny_base_folder, tmp_path / "base")
    for path in folder.rglob("*.safetensors"):
        save_file({k: v.half() for k, v in load_file(path).items()}, path, metadata={"format": "pt"})
    base = load_base(folder)
    assert {p.dtype for p in base.parameters()} == {torch.float32}
    torch.testing.assert_close(base.unet.conv_in.weight, tiny_base.unet.conv_in.weight, rtol=1e-3, atol=1e-4)
    assert {p.dtype for p in load_base(folder, dtype="bfloat16").parameters()} == {torch.bfloat16}
    with pytest.raises(ValueError, match="dtype"):
        load_base(folder, dtype="int8")


def test_the_image_encoder_may_come_from_elsewhere(tiny_base, tiny_base_folder, tmp_path):
    folder = shutil.copytree(tiny_base_folder, tmp_path / "base")
    shutil.move(folder / "image_encoder", tmp_path / "eye")
    with pytest.raises(FileNotFoundError, match="has no image_encoder/"):
        load_base(folder)
    base = load_base(folder, image_encoder=tmp_path / "eye")
    image = torch.rand(1, 3, 64, 64)
    torch.testing.assert_close(base.see(image), tiny_base.see(image))


def test_a_missing_folder_is_named_with_the_remedy(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no base model at .*nowhere: give a folder"):
        load_base(tmp_path / "nowhere")
    for name in ("nowhere", "src/nowhere", "../nowhere", "~/nowhere"):
        with pytest.raises(FileNotFoundError, match="no base model at"):
            load_base(name)


def test_weights_that_lack_a_tensor_are_refused(tiny_base_folder, tmp_path):
    for part, name in (("unet", "conv_in.weight"), ("text_encoder", None)):
        folder = shutil.copytree(tiny_base_folder, tmp_path / part)
        (path,) = (folder / part).glob("*.safetensors")
        tensors = {key: tensor.clone() for key, tensor in load_file(path).items()}
        tensors.pop(name or next(iter(tensors)))
        save_file(tensors, path, metadata={"format": "pt"})
        with pytest.raises(ValueError, match=f"{part} lack 1 tensors"):
            load_base(folder)


@pytest.mark.parametrize("part", ["vae", "unet", "text_encoder", "image_encoder"])
def test_weights_with_a_tensor_too_many_are_refused(tiny_base_folder, tmp_path, part):
    folder = shutil.copytree(tiny_base_folder, tmp_path / "base")
    (path,) = (folder / part).glob("*.safetensors")
    tensors = {key: tensor.clone() for key, tensor in load_file(path).items()}
    old = tensors | {"text_model.embeddings.position_ids": torch.arange(24)[None]}
    save_file(old, path, metadata={"format": "pt"})
    load_base(folder)
    save_file(old | {"encoder.layers.9.bias": torch.zeros(1)}, path, metadata={"format": "pt"})
    with pytest.raises(ValueError, match=rf"{part} hold 1 tensors .* such as encoder.layers.9.bias: restore"):
        load_base(folder)


def test_the_image_encoder_may_be_half_of_a_whole_clip(tiny_base, tiny_base_folder, tmp_path):
    text, vision = (part.config.to_dict() for part in (tiny_base.text_encoder, tiny_base.image_encoder))
    clip = CLIPModel(CLIPConfig(text_config=text, vision_config=vision))
    clip.vision_model.load_state_dict(tiny_base.image_encoder.state_dict())
    clip.save_pretrained(tmp_path)
    image = torch.rand(1, 3, 64, 64)
    torch.testing.assert_close(load_base(tiny_base_folder, tmp_path).see(image), tiny_base.see(image))


@pytest.mark.parametrize("part", ["vae", "unet", "text_encoder", "image_encoder"])
def test_a_damaged_or_foreign_file_is_named_in_one_sentence(tiny_base_folder, tmp_path, part):
    folder = shutil.copytree(tiny_base_folder, tmp_path / "base")
    (path,) = (folder / part).glob("*.safetensors")
    whole = {name: tensor.clone() for name, tensor in load_file(path).items()}
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(OSError, match=f"cannot read {part} of") as caught:
        load_base(folder)
    assert "\n" not in str(caught.value)
    name = next(name for name in whole if name.endswith("weight"))
    save_file(whole | {name: torch.zeros(3, 5)}, path, metadata={"format": "pt"})
    with pytest.raises(OSError, match=f"cannot read {part} of"):
        load_base(folder)


def test_digests_are_checked_before_anything_is_read(tiny_base_folder, tmp_path):
    (tmp_path / "a.txt").write_text("abc")
    digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # of "abc", FIPS 180
    check_sha256(tmp_path, {"a.txt": digest})
    with pytest.raises(ValueError, match=r"a.txt has SHA-256 ba78.*, not 00"):
        check_sha256(tmp_path, {"a.txt": "00"})
    with pytest.raises(FileNotFoundError, match=r"b.txt is missing"):
        load_base(tiny_base_folder, sha256={"b.txt": digest})
    with pytest.raises(ValueError, match="damaged or foreign"):
        load_base(tiny_base_folder, sha256={"unet/config.json": digest})
