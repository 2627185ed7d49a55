"""Inpainting through diffusers: by weights made for it, or by an ordinary base that keeps what is not masked."""

from collections.abc import Sequence
from pathlib import Path

import torch
from diffusers import DDIMScheduler, StableDiffusionInpaintPipeline
from torch import Tensor

from src.models.base import TextToImage
from src.models.pipelines import pipeline_of


class _Steps(DDIMScheduler):
    """DDIM whose timesteps stay on the CPU: it looks up signal levels by them, which would wait for a GPU each time."""

    def set_timesteps(self, num_inference_steps: int, device: object = None) -> None:
        super().set_timesteps(num_inference_steps, "cpu")


class Inpainter:
    """(images, masks, prompts, seeds) -> images; see `__call__`. steps: DDIM steps; guidance: weight of the prompt."""

    def __init__(
        self, base: TextToImage, pipeline: StableDiffusionInpaintPipeline, *, steps: int = 20, guidance: float = 7.0
    ):
        pipeline.set_progress_bar_config(disable=True)
        pipeline.image_processor.register_to_config(
            do_normalize=False
        )  # else it looks at values, which waits for a GPU
        pipeline.scheduler = _Steps.from_config(pipeline.scheduler.config)
        self.base, self.pipeline, self.steps, self.guidance = base, pipeline, steps, guidance

    @torch.no_grad()
    def __call__(self, images: Tensor, masks: Tensor, prompts: Sequence[str], seeds: Sequence[int]) -> Tensor:
        """images [B, 3, H, W] in [-1, 1], masks [B, 1, H, W] with 1 where to paint -> images [B, 3, H, W].

        Masks count by latents: the pipeline takes the mask's nearest pixel for each, so that at the edge some pixels
        are kept or painted with their neighbours. What is kept passes the autoencoder.
        """
        with self.base.visiting(self.base.vae):
            painted: Tensor = self.pipeline(
                prompt=list(prompts),
                image=images,
                mask_image=masks,
                height=images.shape[2],
                width=images.shape[3],
                strength=1.0,
                num_inference_steps=self.steps,
                guidance_scale=self.guidance,
                generator=[torch.Generator().manual_seed(int(seed)) for seed in seeds],
                output_type="pt",
            ).images
        return painted.float() * 2 - 1


def inpainter_of(base: TextToImage, *, steps: int = 20, guidance: float = 7.0) -> Inpainter:
    """The base itself as an inpainter: at every step, latents outside the mask are the noised photo's."""
    return Inpainter(base, pipeline_of(StableDiffusionInpaintPipeline, base), steps=steps, guidance=guidance)


def load_inpainter(
    base: TextToImage, *, folder_or_hub_id: str | Path, steps: int = 50, guidance: float = 7.5
) -> Inpainter:
    """Weights made for inpainting (nine input channels), such as sd2-community/stable-diffusion-2-inpainting.

    They go where the base is, in its precision.

    Raises OSError if they are neither there nor to be had.
    """
    pipeline = StableDiffusionInpaintPipeline.from_pretrained(
        str(folder_or_hub_id), use_safetensors=True, safety_checker=None, requires_safety_checker=False
    )
    pipeline.to(base.device, base.unet.dtype)
    return Inpainter(base, pipeline, steps=steps, guidance=guidance)
