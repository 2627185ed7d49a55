"""The frozen base text-to-image model, adapted once: images, latents, vision tokens, text and noise."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from diffusers.models.attention_processor import Attention
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrize import is_parametrized
from transformers import CLIPModel, CLIPTextModel, CLIPTokenizer, CLIPVisionModel

from src.diffusion import RandnLike, Schedule, v_to_eps
from src.models import prompts as prompts_module
from src.models.folders import check_sha256, check_source, read_part, read_weights

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
VOCABULARY = "vocabulary.txt"
HALF = (torch.float16, torch.bfloat16)
DTYPES = ("float32", "float16", "bfloat16", "float64")
# what a whole CLIP model holds beside its image encoder
OTHER_HALF = ("text_model.", "text_projection.", "visual_projection.", "logit_scale")


class TextToImage(nn.Module):
    """A latent diffusion model with a CLIP image encoder beside it; all parts are frozen and in eval mode.

    The parts may be in half precision: what goes into one is cast to its dtype, what comes out of one is float32
    (float64 where the part is).
    alpha_bar: [T], the training noise schedule. prediction_type: "epsilon" or "v_prediction".
    final_alpha_bar: signal level after the last step; None: alpha_bar[0], as in Stable Diffusion.
    steps_offset: of the "leading" timesteps. known_words: the words that prompts may use; None: any.
    """

    def __init__(
        self,
        *,
        vae: AutoencoderKL,
        unet: UNet2DConditionModel,
        text_encoder: CLIPTextModel | CLIPModel,
        tokenizer: CLIPTokenizer,
        image_encoder: CLIPVisionModel,
        alpha_bar: Tensor,
        prediction_type: str = "epsilon",
        final_alpha_bar: float | None = None,
        steps_offset: int = 1,
        known_words: Collection[str] | None = None,
    ) -> None:
        super().__init__()
        if prediction_type not in ("epsilon", "v_prediction"):
            raise ValueError(f'prediction_type ({prediction_type!r}) must be "epsilon" or "v_prediction"')
        self.vae, self.unet, self.text_encoder, self.image_encoder = vae, unet, text_encoder, image_encoder
        self.tokenizer = tokenizer
        self.alpha_bar = alpha_bar.double()  # not a buffer: it keeps its precision when the model is cast
        self.prediction_type = prediction_type
        self.final_alpha_bar = float(alpha_bar[0]) if final_alpha_bar is None else final_alpha_bar
        self.steps_offset = steps_offset
        self.known_words = None if known_words is None else frozenset(known_words)
        self.noise_levels = Schedule(self.alpha_bar, (), self.final_alpha_bar)  # for add_noise in training
        self.recorded = False  # True: samplers on an NVIDIA GPU replay their calls (src.models.recording)
        self.offloaded = False  # True: what is asked now and then is on the CPU meanwhile
        self.compiled = False  # True: whoever draws with it compiles its blocks
        self.requires_grad_(False).eval()

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        """(C, h, w) of the latents that the U-Net was trained on."""
        size = self.unet.config.sample_size
        height, width = (size, size) if isinstance(size, int) else size
        return self.unet.config.in_channels, height, width

    @property
    def device(self) -> torch.device:
        """Where U-Net and text encoder are, and what they are given must be; other parts may be offloaded."""
        return next(self.text_encoder.parameters()).device

    def offload(self) -> None:
        """From here on autoencoder and image encoder are on the CPU, but while they are asked."""
        self.offloaded = True
        parts: list[nn.Module] = [self.vae, self.image_encoder]
        for part in parts:
            part.to("cpu")

    @contextmanager
    def visiting(self, part: nn.Module) -> Iterator[None]:
        """While open, a part that is offloaded is where the U-Net is."""
        if self.offloaded:
            part.to(self.device)
        try:
            yield
        finally:
            if self.offloaded:
                part.to("cpu")

    @property
    def image_size(self) -> int:
        """Height and width of an image in pixels."""
        return self.latent_shape[1] * 2 ** (len(self.vae.config.block_out_channels) - 1)

    def schedule(self, num_steps: int, start: int | None = None) -> Schedule:
        """`num_steps` "leading" timesteps on this model's noise schedule; those above `start` are dropped."""
        return Schedule.leading(
            self.alpha_bar,
            num_steps,
            start,
            final_alpha_bar=self.final_alpha_bar,
            steps_offset=self.steps_offset,
        )

    def posterior(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation [B, C, h, w] of the scaled latents of images [B, 3, H, W], [-1, 1]."""
        with self.visiting(self.vae), native(self.vae):
            distribution = self.vae.encode(image.to(self.vae.dtype)).latent_dist
        scale = self.vae.config.scaling_factor
        return _wide(distribution.mean) * scale, _wide(distribution.std) * scale

    def encode(self, image: Tensor, randn_like: RandnLike | None = None) -> Tensor:
        """Scaled latents [B, C, h, w] of images [B, 3, H, W] in [-1, 1]: posterior mean, or a sample."""
        mean, std = self.posterior(image)
        return mean if randn_like is None else mean + std * randn_like(mean)

    def decode(self, latents: Tensor) -> Tensor:
        """Images [B, 3, H, W], clamped to [-1, 1], of scaled latents [B, C, h, w]."""
        scaled = (latents / self.vae.config.scaling_factor).to(self.vae.dtype)
        with self.visiting(self.vae):
            return _wide(self.vae.decode(scaled).sample).clamp(-1, 1)

    def see(self, image: Tensor) -> Tensor:
        """All tokens [B, N, Dv] of the image encoder before its last norm; image [B, 3, H, W] in [-1, 1]."""
        size, image = int(self.image_encoder.config.image_size), _wide(image)  # type: ignore[arg-type]
        if tuple(image.shape[-2:]) != (size, size):
            image = F.interpolate(image, (size, size), mode="bicubic", align_corners=False, antialias=True)
        mean, std = (torch.tensor(value).to(image, non_blocking=True).view(3, 1, 1) for value in (CLIP_MEAN, CLIP_STD))
        pixels = ((image + 1) / 2 - mean) / std
        with self.visiting(self.image_encoder), native(self.image_encoder):
            return _wide(self.image_encoder(pixels.to(self.image_encoder.dtype)).last_hidden_state)

    def text(
        self,
        prompts: str | Sequence[str],
        pseudo: Tensor | None = None,
        gamma: float | Tensor = 1.0,
        pad: bool = True,
        as_tokens: bool = False,
    ) -> Tensor:
        """The text state [B, L, D]; see src.models.prompts.encode."""
        with native(self.text_encoder):
            state = prompts_module.encode(self.text_encoder, self.tokenizer, prompts, pseudo, gamma, pad, as_tokens)
        return _wide(state)

    def predict_noise(self, x_t: Tensor, t: int | Tensor, text: Tensor, mask: Tensor | None = None) -> Tensor:
        """eps [B, C, h, w] in x_t under a text state [B, L, D]; a velocity prediction is converted.

        t: timestep, int, 0-dim or [B]. mask: [B, L] bool, False where the text is not to be seen.
        """
        dtype = self.unet.dtype
        seen, text = x_t.to(dtype), text.to(dtype)
        with autocast_of(self.unet) if self._is_mixed() else native(self.unet):
            prediction = _wide(self.unet(seen, t, encoder_hidden_states=text, encoder_attention_mask=mask).sample)
        if self.prediction_type == "epsilon":
            return prediction
        return v_to_eps(prediction, _wide(x_t), t, self.noise_levels)

    def _is_mixed(self) -> bool:
        """Whether a half U-Net has projections that were trained, and so are in float32."""
        attention = next((each for each in self.unet.modules() if isinstance(each, Attention)), None)
        if attention is None or is_parametrized(attention.to_q):  # whose weight comes out in the U-Net's precision
            return False
        return any(p.dtype != self.unet.dtype for p in attention.to_q.parameters())


def native(part: Any) -> AbstractContextManager[Any]:
    """No autocast around a part that is half itself: it would take every norm to float32, and what follows back."""
    if part.dtype not in HALF or part.device.type == "meta":
        return nullcontext()
    return torch.autocast(part.device.type, enabled=False)


def compile_blocks(net: nn.Module) -> None:
    """Compile a network's transformer blocks when they are first run, once for all of one width (regional), whatever
    the batch.

    A full compilation would take minutes for each person, whose network is another object.
    """
    torch._dynamo.config.recompile_limit = 64  # blocks of several widths, in U-Net and PromptNet
    for block in net.modules():
        if type(block).__name__ in UNet2DConditionModel._repeated_blocks and block._compiled_call_impl is None:
            block.compile(fullgraph=True, dynamic=True)


def autocast_of(unet: UNet2DConditionModel) -> AbstractContextManager[Any]:
    """Autocast to a half U-Net's precision, for float32 weights among its own or beside it; else nothing."""
    if unet.dtype not in HALF:
        return nullcontext()
    return torch.autocast(unet.device.type, unet.dtype)


def load_base(
    folder_or_hub_id: str | Path,
    image_encoder: str | Path | None = None,
    dtype: str = "float32",
    sha256: Mapping[str, str] | None = None,
) -> TextToImage:
    """Read a diffusers pipeline (vae, unet, text_encoder, tokenizer, scheduler), its weights as safetensors.

    folder_or_hub_id: a local folder, or "owner/name" on the Hugging Face hub, which is downloaded.
    image_encoder: folder or hub id of a CLIP model; None: the pipeline's own image_encoder/.
    dtype: of the weights in memory, "float32", "float16", "bfloat16" or "float64", however they are stored.
    sha256: digests of local files by their path in the folder; checked before anything is read.
    A file vocabulary.txt in the folder lists the words that prompts may use.
    Raises FileNotFoundError for a folder that is missing, OSError for a part that cannot be read, and
    ValueError for weights that lack a tensor, hold a foreign one or have another digest.
    """
    torch_dtype = dtype_of(dtype)
    folder = Path(folder_or_hub_id)
    check_source(folder_or_hub_id)
    check_sha256(folder, sha256 or {})
    source = str(folder_or_hub_id)
    seer = (source, "image_encoder") if image_encoder is None else (str(image_encoder), "")
    scheduler = read_part(DDIMScheduler, source, "scheduler")
    words = (folder / VOCABULARY).read_text().split() if (folder / VOCABULARY).is_file() else None
    return TextToImage(
        vae=read_weights(AutoencoderKL, source, "vae", torch_dtype=torch_dtype),
        unet=read_weights(UNet2DConditionModel, source, "unet", torch_dtype=torch_dtype),
        text_encoder=read_weights(CLIPTextModel, source, "text_encoder", dtype=torch_dtype),
        tokenizer=read_part(CLIPTokenizer, source, "tokenizer"),
        image_encoder=read_weights(CLIPVisionModel, *seer, spare=OTHER_HALF, dtype=torch_dtype),
        alpha_bar=scheduler.alphas_cumprod,
        prediction_type=scheduler.config.prediction_type,
        final_alpha_bar=float(scheduler.final_alpha_cumprod),
        steps_offset=scheduler.config.steps_offset,
        known_words=words,
    )


def dtype_of(name: str) -> torch.dtype:
    """ "float32", "float16", "bfloat16" or "float64" as torch's own; ValueError for another."""
    if name not in DTYPES:
        raise ValueError(f"dtype ({name!r}) must be one of {', '.join(DTYPES)}")
    return getattr(torch, name)


def _wide(value: Tensor) -> Tensor:
    """In float32, or in float64 if it is."""
    return value.to(torch.promote_types(value.dtype, torch.float32))
