"""The latent cache: the same loss as with the encoders, and only with the encoders that made it."""

import copy

import pytest
import torch
from safetensors.torch import load_file

from src.data import latents
from src.data.latents import LatentCache, write_latents
from src.diffusion import denoising_loss
from src.learning.pretrain import encode_photos, personal_noise_prediction, slot_draws
from src.models.digest import encoders_digest
from src.models.promptnet import PromptNet


class Photos:
    def __init__(self, count):
        self.images = torch.rand(count, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
        self.names = [f"{k}.png" for k in range(count)]
        self.read = []

    def __getitem__(self, index):
        self.read.append(index)
        return {"image": self.images[index]}


def prepare(base, photos, folder, **changes):
    options = {"encoders": encoders_digest(base), "vision_dtype": base.image_encoder.dtype, "batch": 2} | changes
    write_latents(photos, lambda images: encode_photos(base, images), folder, **options)
    return LatentCache(folder)


@pytest.fixture
def photos(monkeypatch):
    monkeypatch.setattr(latents, "ROWS", 3)
    return Photos(7)


def stacked(cache, numbers):
    rows = [cache[number] for number in numbers]
    return {name: torch.stack([row[name] for row in rows]) for name in rows[0]}


@torch.no_grad()
def test_the_loss_is_the_same_with_the_cache_and_without(tiny_base, photos, tmp_path):
    cache = prepare(tiny_base, photos, tmp_path)
    promptnet = PromptNet.from_unet(tiny_base.unet, vision_width=48, text_width=32, pseudo_channels=4)
    numbers, losses = [5, 0, 6, 3], []
    draws = slot_draws(1, 9, range(4), tiny_base.latent_shape, num_timesteps=1000, low_third=1 / 3)
    for seen in (stacked(cache, numbers), encode_photos(tiny_base, photos.images[numbers])):
        predicted, _ = personal_noise_prediction(tiny_base, promptnet, seen, seen, draws, "a photo of S*")
        losses.append(float(denoising_loss(predicted, draws["eps"])))
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)


def test_tokens_of_half_precision_encoders_are_kept_in_half_and_exactly(tiny_base, photos, tmp_path):
    base = copy.deepcopy(tiny_base).to(torch.bfloat16)
    cache = prepare(base, photos, tmp_path)
    expected = encode_photos(base, photos.images[:2])
    for name, value in stacked(cache, [0, 1]).items():
        assert value.dtype == torch.float32
        assert torch.equal(value, expected[name]), name
    stored = load_file(tmp_path / "latents-00000.safetensors")
    assert {name: value.dtype for name, value in stored.items()} == {
        "mean": torch.float32,
        "std": torch.float32,
        "vision": torch.bfloat16,
    }
    with pytest.raises(ValueError, match="does not hold the vision tokens exactly"):
        prepare(tiny_base, photos, tmp_path / "rounded", vision_dtype=torch.bfloat16)


def test_an_interrupted_writer_goes_on_where_it_stopped(tiny_base, photos, tmp_path):
    whole = stacked(prepare(tiny_base, photos, tmp_path), range(7))
    kept = tmp_path / "latents-00000.safetensors"
    stamp = kept.stat().st_mtime_ns
    (tmp_path / "latents-00001.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match=r"lacks 1 files, first latents-00001.*goes on where it stopped"):
        LatentCache(tmp_path)
    photos.read.clear()
    again = stacked(prepare(tiny_base, photos, tmp_path), range(7))
    assert photos.read == [3, 4, 5]
    assert kept.stat().st_mtime_ns == stamp
    assert all(torch.equal(whole[name], again[name]) for name in whole)


def test_a_cache_of_other_encoders_or_photos_is_refused(tiny_base, photos, tmp_path):
    cache, other = prepare(tiny_base, photos, tmp_path), copy.deepcopy(tiny_base)
    cache.check(encoders_digest(tiny_base))
    with torch.no_grad():
        other.image_encoder.post_layernorm.bias[0] += 1
    for changed in (other, copy.deepcopy(tiny_base).half()):
        with pytest.raises(ValueError, match=r"were made by other encoders .*prepare them with this base"):
            cache.check(encoders_digest(changed))
        with pytest.raises(ValueError, match="other photos or encoders"):
            prepare(changed, photos, tmp_path)
    with pytest.raises(ValueError, match="other photos or encoders"):
        prepare(tiny_base, Photos(6), tmp_path)


def test_the_digest_leaves_the_denoiser_out(tiny_base):
    """A base whose U-Net was tuned keeps its cache."""
    tuned = copy.deepcopy(tiny_base)
    with torch.no_grad():
        tuned.unet.conv_in.weight += 1
    assert encoders_digest(tuned) == encoders_digest(tiny_base)


def test_missing_and_damaged_caches_are_named(tiny_base, photos, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no latents at .*latents=true"):
        LatentCache(tmp_path)
    cache = prepare(tiny_base, photos, tmp_path)
    (tmp_path / "latents-00002.safetensors").write_bytes(b"short")
    with pytest.raises(ValueError, match=r"latents-00002.safetensors is damaged .*delete it"):
        cache[6]
    (tmp_path / "latents.json").write_text("{")
    with pytest.raises(ValueError, match=r"latents.json is damaged .*prepare it anew"):
        LatentCache(tmp_path)
