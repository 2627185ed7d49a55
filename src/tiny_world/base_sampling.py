"""Many pictures at once by *base* sampling (guidance on one prompt alone), each with a text and a seed of its own."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from src.models.base import TextToImage
from src.models.promptnet import PromptNet
from src.sampling import NULL, Condition, Conditions, fusion_sample, seeded_randn_like
from src.tiny_world.names import Names, traits_of

PROMPT = "a photo of S*"
GUIDANCE = 4.0  # of every picture that a gate looks at: what the grid of *base* chose, conf/sampler/tiny_base.yaml
# (x [B, C, h, w], t 0-dim, rows) -> text state [B, L, D] of those rows of the run
RowText = Callable[[Tensor, Tensor, slice], Tensor]


def fixed_text(base: TextToImage, prompts: Sequence[str], pseudo: Tensor | None = None) -> RowText:
    """Row i says prompts[i]; pseudo: what S* is in each of them [B, K, D]."""
    state = base.text(prompts, pseudo)
    return lambda x, t, rows: state[rows]


def person_text(base: TextToImage, promptnet: PromptNet, photos: Tensor, prompt: str = PROMPT) -> RowText:
    """Row i says `prompt` with the S* of photo i; photos [B, 3, H, W] in [-1, 1]."""
    x_ref, vision = base.encode(photos), base.see(photos)
    return lambda x, t, rows: base.text([prompt] * len(x), promptnet(x, t, x_ref[rows], vision[rows]))


@torch.no_grad()
def named_text(base: TextToImage, names: Names, people: Sequence[int]) -> RowText:
    """Row i says "a photo of" people[i] by name: what the net of the base's training makes of the person's traits."""
    words = names(traits_of(people).to(base.device), noun_embedding(base)[0, 0])
    return fixed_text(base, [PROMPT] * len(people), words[:, None])


@torch.no_grad()
def noun_embedding(base: TextToImage, noun: str = "person") -> Tensor:
    """What S* replaces: (token + position) embedding [1, 1, D], the mean over the noun's tokens in "a photo of ..."."""
    tokenize = base.tokenizer
    head, tail = (tokenize(text, add_special_tokens=False).input_ids for text in ("a photo of", noun))
    ids = torch.tensor([[tokenize.bos_token_id, *head, *tail]], device=base.device)
    text_model: Any = getattr(base.text_encoder, "text_model", base.text_encoder)
    return text_model.embeddings(ids)[:, -len(tail) :].mean(1, keepdim=True)


@torch.no_grad()
def sample_rows(
    base: TextToImage, text: RowText, seeds: Sequence[int], *, steps: int, guidance: float = GUIDANCE, batch: int = 32
) -> Tensor:
    """Images [B, 3, H, W] in [-1, 1], row i from seeds[i]."""
    empty = base.text([""])
    images = []
    for start in range(0, len(seeds), batch):
        rows = slice(start, min(start + batch, len(seeds)))

        def noise(x: Tensor, t: Tensor, conditions: Sequence[Conditions], rows: slice = rows) -> Sequence[Tensor]:
            states = [empty.expand(len(x), -1, -1) if c == NULL else text(x, t, rows) for c in conditions]
            eps = base.predict_noise(x.repeat(len(states), 1, 1, 1), t, torch.cat(states))
            return eps.chunk(len(states))

        randn_like = seeded_randn_like(seeds[rows])
        latents = fusion_sample(
            noise,
            randn_like(torch.empty(rows.stop - rows.start, *base.latent_shape, device=base.device)),
            base.schedule(steps),
            joint=(),
            separate=[(Condition("each row's own"), guidance)],
            fusion_steps=0,
            fusion_eta=0.0,
            eta=0.0,
            randn_like=randn_like,
        )
        images.append(base.decode(latents))
    return torch.cat(images)


def from_captions(base: TextToImage, captions: Sequence[str], *, steps: int) -> Tensor:
    """One picture [B, 3, H, W] for each caption."""
    return sample_rows(base, fixed_text(base, captions), range(len(captions)), steps=steps)
