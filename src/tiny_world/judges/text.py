"""The text judges of the embedded world: three small CLIPs of different architectures, in open_clip's format."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cache as remember
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from src.tiny_world.judges.corruption import corrupt
from src.tiny_world.renderer.captions import PHRASES, WORDS, caption
from src.tiny_world.renderer.scenes import SIZE, Scene
from src.tiny_world.training.checkpoints import averaged
from src.tiny_world.training.loop import Budget, Descent, fit
from src.tiny_world.training.pictures import Pictures

TRAINING_PICTURES: dict[str, Any] = {"first": 100_000, "count": 40_000}
BATCH = 96
CONTEXT = 32  # the longest caption has 28 words
WIDTH = 96  # of the common embedding
VISION: dict[str, dict[str, Any]] = {
    "text_a": {"patch_size": 8, "width": 96, "layers": 4, "head_width": 32, "image_size": SIZE},
    "text_b": {"patch_size": 16, "width": 160, "layers": 4, "head_width": 40, "image_size": SIZE},
    "text_c": {"layers": (1, 1, 1, 1), "width": 16, "head_width": 64, "image_size": SIZE},
}
# the slots of a scene and their values: what the helper heads of the training tell apart
SLOTS: dict[str, tuple[str, ...]] = {slot: tuple(values) for slot, values in PHRASES.items()}
START, END, PAD, UNKNOWN = "<|startoftext|>", "<|endoftext|>", "<|pad|>", "<|unknown|>"
_LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"
_LAST = "</w>"  # ends a word


def build_tokenizer() -> Tokenizer:
    """A byte-pair encoding in the manner of CLIP in which every caption word is one token and any other is spelt.

    Always the same one: a judge's ids must outlive the process that trained it (the library's own trainer numbers
    letters at random). The end token has the highest id, for open_clip pools at the argmax.
    """
    merges = _merges(WORDS)
    spelling = [*_LETTERS, *(letter + _LAST for letter in _LETTERS)]
    pieces = dict.fromkeys([UNKNOWN, *spelling, *(left + right for left, right in merges)])
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    tokenizer = Tokenizer(models.BPE(vocabulary, merges, unk_token=UNKNOWN, end_of_word_suffix=_LAST))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.add_special_tokens([PAD, START, END])
    start, end = tokenizer.token_to_id(START), tokenizer.token_to_id(END)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{START} $A {END}", special_tokens=[(START, start), (END, end)]
    )
    return tokenizer


def _merges(words: Iterable[str]) -> list[tuple[str, str]]:
    """Byte-pair training to the end: join the commonest pair (or the first by alphabet) till words are whole."""
    spelt = [[*word[:-1], word[-1] + _LAST] for word in words]
    merges: list[tuple[str, str]] = []
    while pairs := Counter(pair for pieces in spelt for pair in pairwise(pieces)):
        merges.append(min(pairs, key=lambda pair: (-pairs[pair], pair)))
        spelt = [_joined(pieces, merges[-1]) for pieces in spelt]
    return merges


def _joined(pieces: list[str], pair: tuple[str, str]) -> list[str]:
    out: list[str] = []
    for piece in pieces:
        if out and (out[-1], piece) == pair:
            out[-1] += piece
        else:
            out.append(piece)
    return out


def tokenize(tokenizer: Tokenizer, texts: list[str]) -> Tensor:
    """B texts -> token ids [B, CONTEXT]."""
    pad = tokenizer.token_to_id(PAD)
    ids = [encoding.ids for encoding in tokenizer.encode_batch(texts)]
    return torch.tensor([row + [pad] * (CONTEXT - len(row)) for row in ids])


def model_config(name: str, vocabulary: int) -> dict[str, Any]:
    """open_clip's description of a judge. ValueError if there is no such judge."""
    if name not in VISION:
        raise ValueError(f"no text judge {name!r}: choose one of {', '.join(VISION)}")
    text = {"context_length": CONTEXT, "vocab_size": vocabulary, "width": 96, "heads": 3, "layers": 2}
    return {"embed_dim": WIDTH, "vision_cfg": VISION[name], "text_cfg": text | {"hf_tokenizer_name": "tokenizer.json"}}


class TextJudgeInTraining(nn.Module):
    """A CLIP, and helper heads that name the values of all slots; the heads are dropped when it is exported."""

    def __init__(self, name: str, vocabulary: int):
        super().__init__()
        import open_clip

        self.clip = open_clip.CLIP(**model_config(name, vocabulary))
        self.heads = nn.ModuleDict({slot: nn.Linear(WIDTH, len(values)) for slot, values in SLOTS.items()})

    def forward(self, images: Tensor, own: Tensor, near: Tensor) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """images [B, 3, H, W], ids of their captions and of near misses [B, L]
        -> images against all texts [B, 2B], captions against images [B, B], slot -> its values' logits [B, V]."""
        with torch.autocast("cpu", torch.bfloat16), sdpa_kernel(SDPBackend.MATH):
            seen, read = self.clip.encode_image(images), self.clip.encode_text(torch.cat([own, near]))
        seen, read = seen.float(), F.normalize(read.float(), dim=-1)
        logits = self.clip.logit_scale.exp().clamp(max=100) * F.normalize(seen, dim=-1) @ read.T
        return logits, logits[:, : len(own)].T, {slot: head(seen) for slot, head in self.heads.items()}


def near_miss(scene: Scene, rng: np.random.Generator) -> Scene:
    """The scene with one thing changed, or with the colours of two things exchanged: what a judge must not overlook."""
    hat, clothes = scene.headwear.split()[0], scene.clothes.split()[0]
    exchangeable = {hat, clothes} <= {"red", "blue", "green"} and hat != clothes
    if exchangeable and rng.random() < 0.5:
        headwear = scene.headwear.replace(hat, clothes)
        return replace(scene, headwear=headwear, clothes=scene.clothes.replace(clothes, hat))
    slot = str(rng.choice(list(SLOTS)))
    others = [value for value in SLOTS[slot] if value != getattr(scene, slot)]
    changed: dict[str, Any] = {slot: str(rng.choice(others))}
    return replace(scene, **changed)


class _Batches:
    """Pictures, captions re-worded each time, near misses worded alike, and the true values of all slots."""

    def __init__(self, pictures: Pictures, tokenizer: Tokenizer):
        self.pictures, self.tokenizer = pictures, tokenizer
        self.scene = remember(pictures.scene_of)

    def draw(self, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor, dict[str, Tensor]]:
        index = torch.randint(self.pictures.count, (BATCH,), generator=generator)
        seeds = torch.randint(2**31, (BATCH,), generator=generator).tolist()
        scenes = [self.scene(i) for i in index.tolist()]
        misses = [near_miss(s, np.random.default_rng([seed, 1])) for s, seed in zip(scenes, seeds, strict=True)]
        own, near = (
            [caption(s, np.random.default_rng(seed)) for s, seed in zip(each, seeds, strict=True)]
            for each in (scenes, misses)
        )
        truth = {slot: torch.tensor([_number(slot, getattr(s, slot)) for s in scenes]) for slot in SLOTS}
        own_ids, near_ids = (tokenize(self.tokenizer, captions) for captions in (own, near))
        return corrupt(self.pictures.images(index), generator), own_ids, near_ids, truth


def _number(slot: str, value: str) -> int:
    """The value's place in its slot; -100 (ignored) where nothing is worn."""
    return SLOTS[slot].index(value) if value in SLOTS[slot] else -100


def contrastive_loss(logits: Tensor, transposed: Tensor, same: Tensor) -> Tensor:
    """CLIP's loss with near misses.

    logits [B, 2B] are of images against captions, then against near misses; transposed [B, B] of captions against
    images; `same` [B] says where a near miss reads like the caption itself (its change went unsaid) and is no miss.
    """
    batch = len(logits)
    truth = torch.arange(batch, device=logits.device)
    logits = logits.clone()
    logits[truth[same], batch + truth[same]] = -torch.inf
    return (F.cross_entropy(logits, truth) + F.cross_entropy(transposed, truth)) / 2


def train_text_judge(cache: Path, name: str, *, budget: Budget, device: torch.device, seed: int = 1) -> dict[str, Any]:
    """Contrast pictures of judge-training people with their captions; resumes from `cache`/NAME.pt."""
    tokenizer = build_tokenizer()
    batches = _Batches(Pictures(cache, **TRAINING_PICTURES), tokenizer)

    def loss(net: nn.Module, generator: torch.Generator) -> tuple[Tensor, Mapping[str, Tensor]]:
        images, own, near, truth = batches.draw(generator)
        images, own, near = (each.to(device) for each in (images, own, near))
        logits, transposed, values = net(images, own, near)
        contrast = contrastive_loss(logits, transposed, (own == near).all(1))
        helpers = torch.stack([F.cross_entropy(values[slot], truth[slot].to(device)) for slot in SLOTS]).mean()
        right = (transposed.argmax(1) == torch.arange(len(own), device=device)).float().mean()
        return contrast + helpers, {"contrast": contrast.detach(), "helpers": helpers.detach(), "right": right}

    torch.manual_seed(seed)
    net = TextJudgeInTraining(name, tokenizer.get_vocab_size())
    descent = Descent(1e-3, ema_decay=0.995)
    run = fit(net, loss, checkpoint=cache / f"{name}.pt", budget=budget, descent=descent, device=device, seed=seed)
    return run | {"parameters": sum(p.numel() for p in net.clip.parameters())}


def export_text_judge(cache: Path, name: str, folder: Path) -> None:
    """Write the judge as open_clip's `local-dir:` wants it: configuration, half-precision weights, tokenizer."""
    tokenizer = build_tokenizer()
    net = TextJudgeInTraining(name, tokenizer.get_vocab_size())
    averaged(net, cache / f"{name}.pt")
    write_text_judge(net.clip, model_config(name, tokenizer.get_vocab_size()), tokenizer, folder)


def write_text_judge(clip: nn.Module, config: Mapping[str, Any], tokenizer: Tokenizer, folder: Path) -> None:
    """Any open_clip.CLIP with its configuration and tokenizer -> a `local-dir:` folder."""
    folder.mkdir(parents=True, exist_ok=True)
    half = {k: v.half().contiguous() if v.is_floating_point() else v for k, v in clip.state_dict().items()}
    save_file(half, folder / "open_clip_model.safetensors")
    preprocess = {"mean": [0.5] * 3, "std": [0.5] * 3, "interpolation": "bicubic", "resize_mode": "squash"}
    described = {"model_cfg": dict(config), "preprocess_cfg": preprocess}
    (folder / "open_clip_config.json").write_text(json.dumps(described, indent=2) + "\n")
    tokenizer.save(str(folder / "tokenizer.json"))
    special = {"bos_token": START, "eos_token": END, "pad_token": PAD, "unk_token": UNKNOWN}
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": CONTEXT, **special}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n")
