"""One random tiny base a session, in the real formats: built, written to a folder and read back."""

import json
import sys
from pathlib import Path

import hypothesis
import pytest
import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from made_runs import make_runs
from tokenizers import Tokenizer
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.trainers import BpeTrainer
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer, CLIPVisionConfig, CLIPVisionModel

from src.models.base import TextToImage, load_base

torch.set_num_threads(1)
hypothesis.settings.register_profile("seeded", derandomize=True, database=None, deadline=None)
hypothesis.settings.load_profile("seeded")

WORDS = ["a", "and", "at", "beach", "blue", "crown", "hat", "in", "of", "pencil", "person", "photo", "red"]
WORDS += ["sketch", "snow", "suit", "the", "wearing", "yellow"]
CONTEXT = 24
TEXT_WIDTH = 32


def tiny_tokenizer() -> CLIPTokenizer:
    """CLIP's byte-pair encoding with one token for each of WORDS and "!" as its pad."""
    learner = Tokenizer(BPE(end_of_word_suffix="</w>"))
    learner.pre_tokenizer = Whitespace()
    trainer = BpeTrainer(vocab_size=500, min_frequency=0, end_of_word_suffix="</w>")
    learner.train_from_iterator([*WORDS, *"abcdefghijklmnopqrstuvwxyz"], trainer)
    model = json.loads(learner.to_str())["model"]
    pieces = ["!", *sorted(model["vocab"], key=model["vocab"].get), "<|startoftext|>", "<|endoftext|>"]
    vocab = {piece: number for number, piece in enumerate(dict.fromkeys(pieces))}
    merges = [tuple(pair) for pair in model["merges"]]
    return CLIPTokenizer(vocab=vocab, merges=merges, pad_token="!", model_max_length=CONTEXT)


def tiny_text_encoder(tokenizer: CLIPTokenizer) -> CLIPTextModel:
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=TEXT_WIDTH,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=CONTEXT,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )


def tiny_unet() -> UNet2DConditionModel:
    """Three levels on 16x16 latents; the deepest one has no attention."""
    return UNet2DConditionModel(
        sample_size=16,
        layers_per_block=1,
        block_out_channels=(8, 16, 24),
        down_block_types=["CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"],
        up_block_types=["UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"],
        cross_attention_dim=TEXT_WIDTH,
        attention_head_dim=2,
        norm_num_groups=4,
        use_linear_projection=True,
    )


def tiny_vae() -> AutoencoderKL:
    return AutoencoderKL(
        down_block_types=["DownEncoderBlock2D"] * 3,
        up_block_types=["UpDecoderBlock2D"] * 3,
        block_out_channels=(4, 8, 8),
        layers_per_block=1,
        norm_num_groups=4,
        latent_channels=4,
        sample_size=64,
        scaling_factor=0.5,
    )


def tiny_image_encoder() -> CLIPVisionModel:
    return CLIPVisionModel(
        CLIPVisionConfig(
            hidden_size=48,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=4,
            image_size=32,
            patch_size=16,
        )
    )


def write_base(folder: Path, seed: int = 0) -> Path:
    """A random tiny base in a diffusers folder, with the words that it knows."""
    torch.manual_seed(seed)
    tokenizer = tiny_tokenizer()
    tokenizer.save_pretrained(folder / "tokenizer")
    tiny_text_encoder(tokenizer).save_pretrained(folder / "text_encoder")
    tiny_unet().save_pretrained(folder / "unet")
    tiny_vae().save_pretrained(folder / "vae")
    tiny_image_encoder().save_pretrained(folder / "image_encoder")
    scheduler = DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
    )
    scheduler.save_pretrained(folder / "scheduler")
    (folder / "vocabulary.txt").write_text("\n".join(WORDS) + "\n")
    return folder


@pytest.fixture(scope="session")
def tiny_base_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_base(tmp_path_factory.mktemp("tiny_base"))


@pytest.fixture(scope="session")
def tiny_base(tiny_base_folder: Path) -> TextToImage:
    """Shared by all tests: leave its weights and its gradients alone."""
    return load_base(tiny_base_folder)


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Finished runs with drawn pictures and made-up scores, name -> folder: read them only."""
    return make_runs(tmp_path_factory.mktemp("made"))


@pytest.fixture
def typed(monkeypatch, tmp_path, capsys):
    """Run a command in this process, its runs in a temporary folder; returns (status, printed, complained)."""

    def run(command, *words):
        monkeypatch.setattr(sys, "argv", [command.__name__, *map(str, words), f"runs={tmp_path / 'runs'}"])
        monkeypatch.chdir(tmp_path)
        status = 0
        try:
            command.main()
        except SystemExit as stop:
            status = 0 if stop.code in (None, 0) else 1
            print(stop.code or "", file=sys.stderr)
        out, err = capsys.readouterr()
        return status, out, err.strip().splitlines()[-1] if err.strip() else ""

    return run


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)
