"""Prompts: split a template at the placeholder S*, insert pseudo-tokens, encode; check what a user typed."""

import difflib
from collections.abc import Collection, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from transformers import CLIPModel, CLIPTextModel, CLIPTokenizer

PLACEHOLDER = "S*"

TextEncoder = CLIPTextModel | CLIPModel


def encode(
    text_encoder: TextEncoder,
    tokenizer: CLIPTokenizer,
    prompts: str | Sequence[str],
    pseudo: Tensor | None = None,
    gamma: float | Tensor = 1.0,
    pad: bool = True,
    as_tokens: bool = False,
) -> Tensor:
    """The text state [B, L, D] of B prompts, with pseudo-tokens in the place of S*.

    text_encoder: a CLIPTextModel, whose last hidden state is the text state (the diffusers format), or a
        full-depth CLIPModel, tapped after its last layer but one and then normed (the authors' format).
    prompts: B prompts with or without S*; "" is the unconditional one. A single one is repeated for every
        pseudo.
    pseudo: [B, K, D] or [1, K, D] pseudo-tokens, which replace the (token + position) embedding of S*; a row
        whose prompt has no S* does not use its own. It may be None where no prompt has S*.
    gamma: multiplies the output text state at the first pseudo-token; a number or [B].
    pad: True fills up to the tokenizer's model_max_length. The words after S* keep their own positions then,
        and K - 1 pads are lost. False gives [BOS, ..., EOS], one length for all, in which S* takes K
        positions, as in the authors' training.
    as_tokens: True: the pseudo-tokens are token embeddings as a tokenizer's own, and as Textual Inversion learns them:
        each takes a position whose embedding is added to it, and gamma multiplies the state at all of them.
    Raises ValueError for a prompt that is too long, holds S* twice, or holds S* where pseudo is None.
    """
    prompts = [prompts] if isinstance(prompts, str) else list(prompts)
    if pseudo is not None:
        assert pseudo.ndim == 3, f"pseudo must be [B, K, D], got {tuple(pseudo.shape)}"
        prompts = prompts * len(pseudo) if len(prompts) == 1 else prompts
        assert len(pseudo) in (1, len(prompts)), f"{len(pseudo)} pseudo-words for {len(prompts)} prompts"
        pseudo = pseudo.expand(len(prompts), -1, -1)
    elif any(PLACEHOLDER in prompt for prompt in prompts):
        raise ValueError(f"prompts ({prompts}) hold {PLACEHOLDER}: pass the pseudo-word that it stands for")
    tokens = 1 if pseudo is None else pseudo.shape[1]
    text_model = _text_model(text_encoder)
    device = text_model.embeddings.token_embedding.weight.device
    longest = min(tokenizer.model_max_length, text_model.config.max_position_embeddings)
    ids, source, scaled = _placed(tuple(prompts), tokenizer, longest, tokens, pad, as_tokens, device)
    if pseudo is None:
        return _text_state(text_encoder, ids)
    with _inserted(text_model, pseudo, source, as_tokens):
        state = _text_state(text_encoder, ids)
    return _influenced(state, scaled, gamma)


def _text_model(text_encoder: TextEncoder) -> CLIPTextModel:
    return text_encoder.text_model if isinstance(text_encoder, CLIPModel) else text_encoder


def _text_state(text_encoder: TextEncoder, ids: Tensor) -> Tensor:
    """ids [B, L] -> the Stable Diffusion 2 text state [B, L, D]."""
    text_model = _text_model(text_encoder)
    if not isinstance(text_encoder, CLIPModel):
        return text_model(ids).last_hidden_state
    states = text_model(ids, output_hidden_states=True).hidden_states
    return text_model.final_layer_norm(states[-2])


@lru_cache(maxsize=256)
def _placed(
    prompts: tuple[str, ...],
    tokenizer: CLIPTokenizer,
    max_length: int,
    tokens: int,
    pad: bool,
    as_tokens: bool,
    device: torch.device,
) -> tuple[Tensor, Tensor, Tensor]:
    """ids [B, L]; where each position's embedding comes from [B, L], from L on the pseudo-tokens; what gamma scales,
    bool [B, L, 1]. Kept, for a sampler asks for the same at every step, and copies would hold it up."""
    replaced = tokens if as_tokens or not pad else 1
    ids, positions = _token_ids(prompts, tokenizer, max_length, tokens, replaced, pad)
    length = ids.shape[1]
    source, scaled = torch.arange(length).repeat(len(ids), 1), torch.zeros(*ids.shape, 1, dtype=torch.bool)
    for row, position in enumerate(positions):
        if position is not None:
            own = [*range(position), *range(length, length + tokens), *range(position + replaced, length)]
            source[row] = torch.tensor(own[:length])
            scaled[row, position : position + (tokens if as_tokens else 1)] = True
    with torch.inference_mode(False):  # what a validation leaves here is to serve a training, too
        return ids.to(device, copy=True), source.to(device, copy=True), scaled.to(device, copy=True)


def _token_ids(
    prompts: Sequence[str], tokenizer: CLIPTokenizer, max_length: int, tokens: int, replaced: int, pad: bool
) -> tuple[Tensor, list[int | None]]:
    """ids [B, L], `replaced` of which stand for S*, and, for each prompt, the position of S* (None without it)."""
    parts = {prompt: _split(prompt, tokenizer) for prompt in dict.fromkeys(prompts)}
    rows, positions = [], []
    for prompt in prompts:
        head, tail = parts[prompt]
        length = 2 + len(head) + (0 if tail is None else tokens + len(tail))
        if length > max_length:
            raise ValueError(f'prompt "{prompt}" takes {length} of {max_length} tokens and must be shortened')
        middle = [] if tail is None else [tokenizer.eos_token_id] * replaced + tail
        row = [tokenizer.bos_token_id, *head, *middle, tokenizer.eos_token_id]
        rows.append(row + [tokenizer.pad_token_id] * (max_length - len(row) if pad else 0))
        positions.append(None if tail is None else 1 + len(head))
    if len({len(row) for row in rows}) > 1:
        raise ValueError(f"prompts ({list(prompts)}) must have one length to be encoded together without pads")
    return torch.tensor(rows), positions


def _split(prompt: str, tokenizer: CLIPTokenizer) -> tuple[list[int], list[int] | None]:
    """Token ids before and after S*; the latter is None without S*. Special tokens are not added."""
    parts = prompt.split(PLACEHOLDER)
    if len(parts) > 2:
        raise ValueError(f'prompt "{prompt}" must hold the placeholder {PLACEHOLDER} once, not {len(parts) - 1} times')
    head, *tail = (tokenizer(part, add_special_tokens=False).input_ids for part in parts)
    return head, tail[0] if tail else None


@contextmanager
def _inserted(text_model: CLIPTextModel, pseudo: Tensor, source: Tensor, as_tokens: bool):
    """While open, the embeddings' output holds pseudo [B, K, D] where `source` says so, with the place's own embedding
    where they are tokens."""

    def insert(module: Any, args: Any, embedded: Tensor) -> Tensor:  # [B, L, D] -> [B, L, D]
        both, length = torch.cat([embedded, pseudo.to(embedded)], dim=1), embedded.shape[1]
        placed = both.gather(1, source[..., None].expand(-1, -1, both.shape[-1]))
        if not as_tokens:
            return placed
        return torch.where(source[..., None] < length, placed, placed + module.position_embedding.weight[:length])

    handle = text_model.embeddings.register_forward_hook(insert)
    try:
        yield
    finally:
        handle.remove()


def _influenced(state: Tensor, scaled: Tensor, gamma: float | Tensor) -> Tensor:
    """The state [B, L, D] with gamma, a number or [B], as its factor where S* is scaled."""
    if isinstance(gamma, Tensor):
        gamma = gamma.to(state).reshape(-1, 1, 1)
    elif gamma == 1:
        return state
    return torch.where(scaled, state * gamma, state)


def placeholder_position(prompt: str, tokenizer: CLIPTokenizer) -> int:
    """The position of S* in the encoded prompt, begin token counted. ValueError for a prompt without S*."""
    head, tail = _split(prompt, tokenizer)
    if tail is None:
        raise ValueError(f'prompt "{prompt}" must hold the placeholder {PLACEHOLDER}')
    return 1 + len(head)


def generic_prompt(prompt: str, noun: str) -> str:
    """The prompt with S* called by a generic noun: "a photo of S*", "a person" -> "a photo of a person"."""
    return prompt.replace(PLACEHOLDER, noun)


def check_prompt(
    prompt: str,
    tokenizer: CLIPTokenizer,
    known_words: Collection[str] | None = None,
    pseudo_tokens: int = 1,
) -> None:
    """Raise ValueError, in one sentence, for a prompt that cannot be used for a personalised image.

    It must hold S* exactly once, fit the tokenizer's length with `pseudo_tokens` tokens in the place of S*,
    and, where `known_words` (lower case) is given, be made of known words alone, in any case, without punctuation.
    """
    if not prompt.strip():
        raise ValueError(f'the prompt is empty; write one with the placeholder, such as "a photo of {PLACEHOLDER}"')
    if prompt.count(PLACEHOLDER) != 1:
        raise ValueError(
            f'prompt "{prompt}" holds the placeholder {PLACEHOLDER} {prompt.count(PLACEHOLDER)} times; '
            f'write it exactly once, as in "a photo of {PLACEHOLDER}"'
        )
    _check_length(prompt, tokenizer, pseudo_tokens)
    if known_words is not None:
        _check_words(prompt, known_words)


def check_distinct(prompts: Sequence[str]) -> None:
    """ValueError names the prompts that stand there more than once: their images could not be told apart later."""
    known = [" ".join(prompt.split()) for prompt in prompts]
    twice = [prompt for prompt in dict.fromkeys(known) if known.count(prompt) > 1]
    if twice:
        listed = ", ".join(f'"{prompt}"' for prompt in twice)
        raise ValueError(f"prompts hold {listed} more than once: write each prompt once, and set seeds for more images")


def _check_length(prompt: str, tokenizer: CLIPTokenizer, pseudo_tokens: int) -> None:
    head, tail = _split(prompt, tokenizer)
    longest, length = tokenizer.model_max_length, 2 + len(head) + pseudo_tokens + len(tail or [])
    if length > longest:
        cut = PLACEHOLDER if 2 + len(head) + pseudo_tokens > longest else "its end"
        raise ValueError(
            f'prompt "{prompt}" takes {length} tokens, of which {longest} fit, so {cut} would be cut off; '
            f"shorten it by {length - longest}"
        )


def _check_words(prompt: str, known_words: Collection[str]) -> None:
    bare = prompt.replace(PLACEHOLDER, " ")
    signs = dict.fromkeys(sign for sign in bare if not (sign.isalnum() or sign in " '"))
    if signs:
        line, shown = " ".join(prompt.split()), ", ".join(map(repr, signs))
        raise ValueError(f'prompt "{line}" holds {shown}, which this base was not trained on; write words only')
    unknown = [word for word in dict.fromkeys(bare.lower().split()) if word not in known_words]
    if not unknown:
        return
    nearest = [(word, difflib.get_close_matches(word, sorted(known_words), n=3, cutoff=0.5)) for word in unknown]
    hints = ", ".join(f'"{word}" (nearest: {", ".join(near) or "none"})' for word, near in nearest)
    raise ValueError(f'prompt "{prompt}" has words that this base was not trained on: {hints}; use known words')
