"""Single words of a base: their tokens and embeddings, and which may be called what."""

import difflib
from collections.abc import Collection
from typing import Any

from torch import Tensor
from transformers import CLIPTokenizer

RARE = 0.8  # of a vocabulary: tokens from there on are rare; sks is at 0.97 of CLIP's

END = "</w>"  # of a token that ends a word
LETTERS = 3  # of the shortest piece that is a word: shorter ones are parts of anything


def embeddings_of(text_encoder: Any) -> Tensor:
    """The token embeddings [V, D] of a text encoder."""
    return text_encoder.get_input_embeddings().weight.detach()


def tokens_of(word: str, tokenizer: CLIPTokenizer) -> list[int]:
    """The numbers of a word's tokens, without begin and end."""
    return tokenizer(word, add_special_tokens=False).input_ids


def one_token(word: str, tokenizer: CLIPTokenizer, known_words: Collection[str] | None, setting: str) -> int:
    """The number of a word that is a single token. ValueError, naming the setting, for any other, or an unknown one."""
    ids = tokens_of(word, tokenizer)
    if known_words is not None and word.lower() not in known_words:
        near = ", ".join(difflib.get_close_matches(word.lower(), sorted(known_words), n=3, cutoff=0.5)) or "none"
        raise ValueError(f"{setting} ({word}) is a word that this base was not trained on (nearest: {near})")
    if len(ids) != 1:
        raise ValueError(
            f"{setting} ({word}) is {len(ids)} tokens of this base's tokenizer: name a word that is one, such as person"
        )
    return ids[0]


def check_rare(word: str, tokenizer: CLIPTokenizer, known_words: Collection[str] | None, setting: str) -> None:
    """ValueError, naming the setting, for an identifier that is not one word, or that means something already: that is
    a known word, or whose tokens all are.

    Known are a base's known words; where it has no list, words of CLIP's vocabulary but the rarest: it is in the order
    of frequency.
    """
    ids = tokens_of(word, tokenizer)
    if not word.isalnum() or {tokenizer.bos_token_id, tokenizer.eos_token_id} & set(ids):
        raise ValueError(f"{setting} ({word}) must be one word of letters that this base's tokenizer has, such as sks")
    pieces = [piece.removesuffix(END) for piece in tokenizer.convert_ids_to_tokens(ids)]
    if known_words is not None and word.lower() in known_words:
        pieces = [word]
    if all(_means(piece, tokenizer, known_words, alone=len(pieces) == 1) for piece in pieces):
        known = "a known word" if len(pieces) == 1 else f"made of known words ({', '.join(pieces)})"
        raise ValueError(f"{setting} ({word}) is {known}: an identifier must mean nothing yet, such as sks")


def _means(piece: str, tokenizer: CLIPTokenizer, known_words: Collection[str] | None, alone: bool) -> bool:
    """Whether a piece of an identifier, or all of it, is a word that means something."""
    if known_words is not None:
        return piece.lower() in known_words
    number: Any = tokenizer.convert_tokens_to_ids(f"{piece}{END}")
    return number < RARE * len(tokenizer) and (alone or len(piece) >= LETTERS)
