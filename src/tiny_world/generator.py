"""The embedded world's base model, in the parts and formats of a diffusers pipeline folder."""

import json
from typing import Any

from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from tokenizers import Tokenizer
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.trainers import BpeTrainer
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer, CLIPVisionConfig, CLIPVisionModel

from src.tiny_world.names import Names
from src.tiny_world.renderer.captions import WORDS

CONTEXT = 32  # tokens: the longest caption has 31
TEXT_WIDTH = 160
VISION_WIDTH, PATCH = 128, 8  # of the image encoder


def new_vae() -> AutoencoderKL:
    """f = 4: 64 x 64 x 3 -> 16 x 16 x 4, thin where it is large."""
    return AutoencoderKL(
        down_block_types=["DownEncoderBlock2D"] * 3,
        up_block_types=["UpDecoderBlock2D"] * 3,
        block_out_channels=(16, 48, 96),
        layers_per_block=1,
        norm_num_groups=8,
        latent_channels=4,
        sample_size=64,
    )


def new_tokenizer() -> CLIPTokenizer:
    """CLIP's byte-pair encoding, learned on the world's words until each of them is one token."""
    trainer = BpeTrainer(
        vocab_size=5000, min_frequency=0, end_of_word_suffix="</w>", initial_alphabet=list("abcdefghijklmnopqrstuvwxyz")
    )
    learner = Tokenizer(BPE(end_of_word_suffix="</w>"))
    learner.pre_tokenizer = Whitespace()
    learner.train_from_iterator(sorted(WORDS), trainer)
    model = json.loads(learner.to_str())["model"]
    pieces = ["!", *sorted(model["vocab"], key=model["vocab"].get), "<|startoftext|>", "<|endoftext|>"]
    vocab = {piece: number for number, piece in enumerate(dict.fromkeys(pieces))}
    merges: Any = [tuple(pair) for pair in model["merges"]]
    return CLIPTokenizer(vocab=vocab, merges=merges, pad_token="!", model_max_length=CONTEXT)


def new_text_encoder(tokenizer: CLIPTokenizer) -> CLIPTextModel:
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=TEXT_WIDTH,
            intermediate_size=512,
            num_hidden_layers=4,
            num_attention_heads=4,
            max_position_embeddings=CONTEXT,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )


def new_image_encoder() -> CLIPVisionModel:
    """PromptNet's eye: [B, 3, 64, 64], normalised as CLIP's images by whoever calls it, in 8 x 8 patches."""
    return CLIPVisionModel(
        CLIPVisionConfig(
            hidden_size=VISION_WIDTH,
            intermediate_size=3 * VISION_WIDTH,
            num_hidden_layers=4,
            num_attention_heads=4,
            image_size=64,
            patch_size=PATCH,
        )
    )


def new_unet() -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=16,
        layers_per_block=1,
        block_out_channels=(64, 96, 160),
        down_block_types=["CrossAttnDownBlock2D"] * 3,
        up_block_types=["CrossAttnUpBlock2D"] * 3,
        cross_attention_dim=TEXT_WIDTH,
        only_cross_attention=[True, False, False],  # 256 places read the text; they see one another further down
        attention_head_dim=(1, 4, 4),  # heads
        norm_num_groups=16,
        use_linear_projection=True,
    )


def new_scheduler() -> DDIMScheduler:
    """Stable Diffusion 2's noise schedule."""
    return DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
    )


def new_base(tokenizer: CLIPTokenizer) -> nn.ModuleDict:
    """U-Net, text encoder and the names of training, with random weights."""
    return nn.ModuleDict({"unet": new_unet(), "text_encoder": new_text_encoder(tokenizer), "names": Names(TEXT_WIDTH)})
