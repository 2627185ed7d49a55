"""Gates 4 and 5: does the U-Net read words where they stand, and does an over-fitted S* drown the text?

Both look at what changes in the noise prediction, eps, when words change. x_t is the noised latent of the photo that
the token was optimised on; t is spread evenly over the upper two thirds of the noise range, where layout and likeness
are decided; prompts are padded, as when sampling.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from src.diffusion import add_noise, denoising_loss
from src.models.base import TextToImage
from src.models.prompts import generic_prompt
from src.tiny_world.base_sampling import PROMPT, noun_embedding
from src.tiny_world.gates.gate import Gate, gate

GENERIC = "a person"
# of the validation prompts' kind: nothing here is asked for by an evaluation prompt
JOINT = ("a photo of S* wearing a green beanie in the city", "a photo of S* in a suit in the desert")
WORDS = (
    "in the city",
    "in the desert",
    "in front of a yellow wall",
    "wearing a green beanie",
    "wearing a suit",
    "wearing a crown",
)


def noisy(base: TextToImage, photo: Tensor, draws: int, seed: int) -> tuple[Tensor, Tensor]:
    """x_t [draws, C, h, w] and t [draws] of a photo [1, 3, H, W]; t evenly over the upper two thirds."""
    last = len(base.alpha_bar) - 1
    t = torch.linspace((last + 1) / 3, last, draws).long().to(photo.device)
    x_0 = base.encode(photo).expand(draws, -1, -1, -1)
    eps = torch.randn(x_0.shape, generator=torch.Generator().manual_seed(seed)).to(x_0)
    return add_noise(x_0, eps, t, base.noise_levels), t


def effect(eps: Tensor, without: Tensor) -> float:
    """The mean norm of a change in eps; both [B, C, h, w]."""
    return float((eps - without).flatten(1).norm(dim=1).mean())


@torch.no_grad()
def remaining_influence(
    base: TextToImage, photo: Tensor, token: Tensor, prompt: str, *, draws: int = 24, seed: int = 0
) -> dict[str, float]:
    """What S* changes in eps, relative to gamma = 1, at lower gammas of both meanings ("position", "interpolate").

    photo: [1, 3, H, W] in [-1, 1]; token: [1, 1, D]; prompt: with S*. The change is from the generic prompt, and
    "no S* at all" is what is left of it where S* is the word "person" at gamma = 0: the lack of a word, no leak.
    """
    x_t, t = noisy(base, photo, draws, seed)

    def eps(text: Tensor) -> Tensor:
        return base.predict_noise(x_t, t, text.expand(draws, -1, -1))

    generic = base.text([generic_prompt(prompt, GENERIC)])
    joint, without = base.text([prompt], token), eps(generic)
    whole = max(effect(eps(joint), without), 1e-12)
    left = {}
    for gamma in (0.6, 0.3, 0.0):
        left[f"position {gamma}"] = effect(eps(base.text([prompt], token, gamma=gamma)), without) / whole
        left[f"interpolate {gamma}"] = effect(eps(torch.lerp(generic, joint, gamma)), without) / whole
    nobody = base.text([prompt], noun_embedding(base), gamma=0.0)
    return left | {"no S* at all": effect(eps(nobody), without) / whole}


def gamma_gate(base: TextToImage, photos: Tensor, tokens: Tensor, *, draws: int = 24, seed: int = 0) -> Gate:
    """Gate 4: of the change that an optimised S* makes in eps, what remains at gamma = 0 at the position.

    Mean over people and two prompts of |eps(0 S*, C) - eps(a person, C)| / |eps(S*, C) - eps(a person, C)|. Bound: at
    most .6. Beside it stand gamma = .6 and .3, and interpolation, which is 0 at gamma = 0 by construction.
    photos: [P, 3, H, W]; tokens: [P, 1, D], each optimised on its photo.
    """
    shares = [
        remaining_influence(base, photos[i : i + 1], tokens[i : i + 1], prompt, draws=draws, seed=seed + i)
        for i in range(len(photos))
        for prompt in JOINT
    ]
    mean = {name: sum(each[name] for each in shares) / len(shares) for name in shares[0]}
    each = [round(one["position 0.0"], 4) for one in shares]
    details = {"left": mean, "each": each, "people": len(photos), "prompts": list(JOINT)}
    return gate(4, "gamma at the position: left at gamma = 0", mean["position 0.0"], 0.6, details, at_least=False)


@torch.no_grad()
def word_effects(
    base: TextToImage, x_t: Tensor, t: Tensor, start: str, words: Sequence[str], pseudo: Tensor | None = None
) -> list[float]:
    """What each of the `words` changes in eps when it follows `start`. pseudo: S* [1 or B, K, D]."""
    rows = 1 if pseudo is None else len(pseudo)
    texts = [base.text([prompt] * rows, pseudo) for prompt in (start, *(f"{start} {each}" for each in words))]
    bare, *followed = (base.predict_noise(x_t, t, text.expand(len(x_t), -1, -1)) for text in texts)
    return [effect(eps, bare) for eps in followed]


def token_effects(
    base: TextToImage, photo: Tensor, token: Tensor, words: Sequence[str], *, draws: int = 16, seed: int = 0
) -> tuple[list[float], list[float]]:
    """What each of the `words` changes in eps after S*, and after "a person". photo: [1, 3, H, W]; token: [1, 1, D]."""
    x_t, t = noisy(base, photo, draws, seed)
    generic = generic_prompt(PROMPT, GENERIC)
    return word_effects(base, x_t, t, PROMPT, words, token), word_effects(base, x_t, t, generic, words)


def drowning_gate(base: TextToImage, photos: Tensor, tokens: Tensor, *, draws: int = 16, seed: int = 0) -> Gate:
    """Gate 5, first row: the effect on eps of words after an optimised S*, over that of the same after "a person".

    For each of six phrases the mean effect over people and draws after S* by that after "a person"; the gate is the
    mean over phrases. It has no bound: a token may stay among the names, and then it drowns little. The photos show
    none of the phrases.
    photos: [P, 3, H, W]; tokens: [P, 1, D], each optimised on its photo.
    """
    after, generic = torch.tensor(
        [
            token_effects(base, photos[i : i + 1], tokens[i : i + 1], WORDS, draws=draws, seed=seed + i)
            for i in range(len(photos))
        ]
    ).mean(0)
    ratios = (after / generic.clamp(min=1e-12)).tolist()
    details = {"ratio": dict(zip(WORDS, ratios, strict=True)), "people": len(photos)}
    value = sum(ratios) / len(ratios)
    return gate(5, 'words after S*: effect over after "a person"', value, None, details, at_least=False)


def optimise_token(
    base: TextToImage, photo: Tensor, *, steps: int = 120, lr: float = 0.02, batch: int = 8, seed: int = 0
) -> Tensor:
    """Textual inversion (Gal et al. 2022) of one photo [1, 3, H, W] in [-1, 1]: a token [1, 1, D] for S*.

    Adam on the plain noise loss under "a photo of S*" (unpadded, as PromptNet's training), t uniform, latents the
    posterior mean, starting from the embedding of "person"; no regularisation, so it may over-fit.
    """
    with torch.no_grad():
        x_0 = base.encode(photo).expand(batch, -1, -1, -1)
    token = noun_embedding(base).clone().requires_grad_(True)
    optimizer = torch.optim.Adam([token], lr=lr)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        t = torch.randint(len(base.alpha_bar), (batch,), generator=generator).to(x_0.device)
        eps = torch.randn(x_0.shape, generator=generator).to(x_0)
        with torch.enable_grad():
            text = base.text([PROMPT], token, pad=False).expand(batch, -1, -1)
            predicted = base.predict_noise(add_noise(x_0, eps, t, base.noise_levels), t, text)
            loss = denoising_loss(predicted, eps)
        (token.grad,) = torch.autograd.grad(loss, token)
        optimizer.step()
    return token.detach()
