"""What people look at: the world's pictures of the first validation people, from the renderer to fine-tuning."""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from src.models.base import TextToImage
from src.models.promptnet import PromptNet
from src.tiny_world.base_sampling import from_captions, named_text, person_text, sample_rows
from src.tiny_world.names import Names
from src.tiny_world.photos import oracle, pictures, reference
from src.tiny_world.renderer.captions import full_caption
from src.tiny_world.renderer.people import SPLITS
from src.tiny_world.renderer.scenes import STYLES, scene_for

PROMPTS = (  # of the validation set, one family each
    "a photo of S* wearing a green beanie in the city",
    "an oil painting of S*",
)
STEPS = 20  # as gates 0, 3, 7 and 9 sample
# (prompt with S*, seeds) -> images; of somebody who was learned
Drawn = Callable[[str, Sequence[int]], Tensor]


def people(count: int) -> list[int]:
    """The first of the validation people, by index."""
    return list(SPLITS["validation"][:count])


@torch.no_grad()
def known_by(
    base: TextToImage,
    promptnet: PromptNet,
    names: Names | None,
    learned: Callable[[Tensor], Mapping[str, Drawn]],
    count: int,
) -> dict[str, list[Tensor]]:
    """Column -> one picture [3, H, W] a person: the photo, "a photo of" its person by every word there is, and prompts.

    learned: a photo [1, 3, H, W] -> what draws that person, by the sampler's name. names: None leaves their column out.
    """
    chosen = people(count)
    photos = torch.cat([reference(person, PROMPTS) for person in chosen]).to(base.device)
    texts = {"PromptNet alone": person_text(base, promptnet, photos)}
    if names is not None:
        texts = {"its name": named_text(base, names, chosen), **texts}
    columns = {"photo": list(photos)}
    columns |= {name: list(sample_rows(base, text, range(count), steps=STEPS)) for name, text in texts.items()}
    for photo in photos:
        for name, draw in learned(photo[None]).items():
            for prompt in PROMPTS:
                with torch.enable_grad():
                    columns.setdefault(f"{name}: {prompt}", []).extend(draw(prompt, [0]))
    for prompt in PROMPTS:
        columns[f"renderer: {prompt}"] = [oracle(person, prompt, 0) for person in chosen]
    return columns


def in_every_style(base: TextToImage, count: int) -> dict[str, list[Tensor]]:
    """Row -> one picture [3, H, W] a style: the renderer's, and the base's under the full caption of the same scene."""
    rows: dict[str, list[Tensor]] = {}
    for person in people(count):
        scenes = [scene_for(person, style=style) for style in STYLES]
        captions = [full_caption(scene) for scene in scenes]
        rows[f"{person}, renderer"] = list(pictures((person, scene) for scene in scenes))
        rows[f"{person}, base"] = list(from_captions(base, captions, steps=STEPS))
    return rows
