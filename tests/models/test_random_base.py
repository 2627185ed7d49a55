"""Architectures by configuration: the published sizes, CLIP's tokenizer, and a base that works."""

import shutil
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir

from src.harness import build
from src.models.base import load_base
from src.models.promptnet import PromptNet
from src.models.random_base import clip_tokenizer, random_base
from src.models.sources import lacking, shell

CONF = Path(__file__).parents[2] / "conf"
SMALL = {
    "unet": {
        "sample_size": 8,
        "block_out_channels": [8, 8],
        "layers_per_block": 1,
        "cross_attention_dim": 16,
        "attention_head_dim": 2,
        "norm_num_groups": 4,
        "down_block_types": ["CrossAttnDownBlock2D", "DownBlock2D"],
        "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D"],
    },
    "vae": {"block_out_channels": [4], "norm_num_groups": 4, "latent_channels": 4, "sample_size": 8},
    "text_encoder": {
        "vocab_size": 49_408,
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "eos_token_id": 49_407,
    },
    "image_encoder": {
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "image_size": 8,
        "patch_size": 4,
    },
    "scheduler": {"beta_schedule": "scaled_linear", "steps_offset": 1, "prediction_type": "v_prediction"},
    "pad_token": "!",
}


def arguments(name):
    with initialize_config_dir(str(CONF), version_base="1.3"):
        base = build.plain(compose("train", ["world=sd2", f"base={name}"]).base)
    return {key: value for key, value in base.items() if not key.startswith("_")}


@pytest.mark.parametrize(
    ("name", "sizes"),
    [
        ("sd2_random", (865_910_724, 83_653_863, 340_387_840, 630_766_080)),
        ("sd2_768_random", (865_910_724, 83_653_863, 340_387_840, 630_766_080)),
        ("sd15_random", (859_520_964, 83_653_863, 123_060_480, 303_179_776)),
    ],
)
def test_the_configured_architecture_is_the_published_one_and_gives_one_pseudo_token(name, sizes):
    parts = shell(arguments(name))
    found = {part: sum(p.numel() for p in net.parameters()) for part, net in parts.items()}
    assert found == dict(zip(("unet", "vae", "text_encoder", "image_encoder"), sizes, strict=True))
    vision, text = (parts[part].config.hidden_size for part in ("image_encoder", "text_encoder"))
    with torch.device("meta"):
        net = PromptNet.from_unet(parts["unet"], vision_width=vision, text_width=text)
    assert net.num_pseudo_tokens == 1
    if name == "sd2_random":
        assert sum(p.numel() for p in net.parameters()) == 408_337_024


def test_the_tokenizer_is_clips_own():
    tokenizer = clip_tokenizer("!")
    assert len(tokenizer) == 49_408
    ids = tokenizer("a photo of a cat, café 1!", padding="max_length").input_ids
    assert ids[:5] == [49_406, 320, 1_125, 539, 320]
    assert ids[5:7] == [2_368, 267]
    assert ids[-1] == 0 and len(ids) == 77
    assert clip_tokenizer("<|endoftext|>").pad_token_id == 49_407
    assert tokenizer.decode(tokenizer("a superman costume").input_ids[1:-1]).strip() == "a superman costume"


def test_a_random_base_predicts_noise_and_leaves_the_global_generator_alone():
    state = torch.get_rng_state()
    base, again = (random_base(**SMALL, dtype="bfloat16") for _ in range(2))
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(base.unet.conv_in.weight, again.unet.conv_in.weight)
    assert (base.image_size, base.prediction_type, base.unet.dtype) == (8, "v_prediction", torch.bfloat16)
    image = torch.zeros(1, 3, 8, 8)
    eps = base.predict_noise(base.encode(image), 500, base.text("a photo"))
    assert eps.shape == (1, 4, 8, 8) and eps.isfinite().all() and base.see(image).shape == (1, 5, 16)
    assert lacking(SMALL) == {}


def test_the_shell_of_a_folder_has_its_sizes_and_whole_weights_lack_nothing(tiny_base_folder, tiny_base):
    source = {"folder_or_hub_id": str(tiny_base_folder), "image_encoder": None}
    assert lacking(source) == {}
    parts = shell(source)
    for name, net in parts.items():
        own = getattr(tiny_base, name).state_dict()
        assert {key: tuple(value.shape) for key, value in net.state_dict().items()} == {
            key: tuple(value.shape) for key, value in own.items()
        }
        assert all(parameter.is_meta for parameter in net.parameters())


def test_half_a_download_is_named(tiny_base_folder, tmp_path):
    folder = shutil.copytree(tiny_base_folder, tmp_path / "base")
    weights = folder / "unet" / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    (folder / "vae" / "diffusion_pytorch_model.safetensors").unlink()
    faults = lacking({"folder_or_hub_id": str(folder), "image_encoder": str(tmp_path / "nowhere")})
    assert set(faults) == {"unet", "vae", "image_encoder"}
    assert "half there or damaged" in faults["unet"]
    assert "has no weights" in faults["vae"]
    assert shell({"folder_or_hub_id": "nobody/nothing", "image_encoder": None}) is None
    assert set(lacking({"folder_or_hub_id": "nobody/nothing"})) == {"unet", "vae", "text_encoder", "image_encoder"}


def test_float64_stays_float64(tiny_base_folder):
    base = load_base(tiny_base_folder, dtype="float64")
    x, text = torch.randn(1, 4, 16, 16, dtype=torch.float64), base.text(["a red hat"])
    assert {text.dtype, base.predict_noise(x, 5, text).dtype, base.encode(torch.zeros(1, 3, 64, 64)).dtype} == {
        torch.float64
    }
