"""DreamBooth: a rare identifier before a class noun, the U-Net tuned, its class held on to (Ruiz et al. 2022)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from src.diffusion import denoising_loss
from src.learning.changes import LowRank, Weights, with_lora
from src.learning.class_images import CODE, ClassImages
from src.learning.person_file import fingerprint, read, write
from src.learning.steps import NoisedPhotos, optimise, training_bytes
from src.methods.drawing import Person, Sampler
from src.methods.method import Footprint, Variants, shared_by_all
from src.models.base import TextToImage, autocast_of, compile_blocks
from src.models.lora import full_rank, lora_numbers, read_lora
from src.models.personal import PersonalNoise
from src.models.prompts import PLACEHOLDER, check_prompt
from src.models.sources import numbers_of
from src.models.words import check_rare, embeddings_of, one_token, tokens_of
from src.runs.digests import code_digest

FORMAT = "dreambooth-1"
PACKAGE = Path(__file__).parents[1]


@dataclass(frozen=True)
class DreamBooth:
    """S* is "identifier noun"; what is learned is the U-Net, or with `rank` a LoRA of its attention projections.

    batch: photos a step, and as many class images. prior: the weight of the class images' loss; 0: none are made.
    text_encoder: whether it is learned, too. prompt: what the photos are shown under.
    lora: the pytorch_lora_weights.safetensors of whoever was learned elsewhere; then nothing is learned. What is kept
    of a person with `rank` is such a file.
    """

    trained: ClassVar[tuple[str, ...]] = ()
    drawing: ClassVar[tuple[str, ...]] = ()
    files: ClassVar[Mapping[str, str]] = {"lora": "give a pytorch_lora_weights.safetensors of diffusers"}
    memory: ClassVar[str] = "method.gradient_checkpointing=true, a lower method.batch, or method.rank=16"
    passes: ClassVar[str] = "steps"

    sampler: Sampler
    steps: int
    lr: float
    batch: int = 1
    weight_decay: float = 0.01
    identifier: str = "sks"
    noun: str = "person"
    prompt: str = "a photo of S*"
    prior: float = 1.0
    class_images: ClassImages | None = None
    text_encoder: bool = False
    rank: int | None = None
    seed: int = 0
    gradient_checkpointing: bool = False
    lora: str | None = None

    @classmethod
    def footprint(cls, settings: Mapping[str, Any], parts: Mapping[str, nn.Module]) -> Footprint:
        """What is trained, and as much to draw with; of a LoRA that was given nothing to speak of."""
        if settings.get("lora") is not None:
            return Footprint()
        unet: Any = parts["unet"]
        if settings.get("rank") is not None:
            changed = lora_numbers(unet, settings["rank"])
        else:
            changed = numbers_of(unet, *([parts["text_encoder"]] if settings.get("text_encoder") else []))
        photos, own = settings["batch"] * (2 if settings.get("prior", 1.0) else 1), changed * unet.dtype.itemsize
        return Footprint(photos=photos, learning=training_bytes(changed, unet.dtype), drawing=own, kept=own)

    @property
    def learns(self) -> bool:
        """Whether nobody was given."""
        return self.lora is None

    def check(self, base: TextToImage, prompts: Sequence[str], photos: int) -> None:
        """An identifier that means nothing yet, a noun that is one token, and settings and a file that fit."""
        check_rare(self.identifier, base.tokenizer, base.known_words, "method.identifier")
        one_token(self.noun, base.tokenizer, base.known_words, "method.noun")
        for prompt in (*prompts, self.prompt):
            check_prompt(prompt, base.tokenizer, base.known_words, 1 + len(tokens_of(self.identifier, base.tokenizer)))
        if self.prior > 0 and self.class_images is None:
            raise ValueError(f"method.prior ({self.prior:g}) weighs class images: set method.class_images, or 0")
        if self.class_images is not None:
            self.class_images.check(base)
        if self.rank is not None and not 1 <= self.rank <= full_rank(base.unet):
            raise ValueError(f"method.rank ({self.rank}) must be from 1 to {full_rank(base.unet)}, this base's widest")
        if self.text_encoder and self.rank is not None:
            raise ValueError(f"method.rank ({self.rank}) is of the U-Net alone: set method.text_encoder=false")
        if self.lora is not None:
            read_lora(Path(self.lora), base.unet)

    def learn(
        self,
        base: TextToImage,
        photos: Tensor,
        keep: Path | None = None,
        variants: Variants | None = None,
        people: Sequence[int] | None = None,
        passing: Mapping[int, Path] | None = None,
    ) -> Person:
        """The base that has learned whoever the photos, or their `variants`, show."""
        if people is not None and len(set(people)) > 1:
            raise ValueError(f"people ({list(people)}) are several, and DreamBooth learns one: give photos of one")
        own = self._tuned(base, photos, keep, variants, passing or {})
        if base.compiled:
            compile_blocks(own.unet)
        word = embeddings_of(own.text_encoder)[tokens_of(self.identifier, base.tokenizer)]
        called, generic = f"{PLACEHOLDER} {self.noun}", self.sampler.generic
        noise = PersonalNoise(own, words=[word], as_tokens=True, called=called, generic=generic)
        return Person(own, noise, self.sampler, pseudo_tokens=1 + len(word))

    def prepare(self, base: TextToImage, keep: Path) -> float:
        """The class images, if their loss is asked for."""
        if not self.learns or self.class_images is None or self.prior == 0:
            return 0.0
        return self.class_images.seconds(base, self._called(f"a {self.noun}"), *_shared(keep))

    @property
    def _change(self) -> Weights | LowRank:
        if self.rank is not None:
            return LowRank(self.rank, self.seed)
        return Weights(("unet", "text_encoder") if self.text_encoder else ("unet",))

    def _tuned(
        self,
        base: TextToImage,
        photos: Tensor,
        keep: Path | None,
        variants: Variants | None,
        passing: Mapping[int, Path],
    ) -> TextToImage:
        """Whoever was given, lies in `keep`, or is learned now, as they come back from a file."""
        if self.lora is not None:
            return with_lora(base, *read_lora(Path(self.lora), base.unet))
        about = self._about(base)
        if keep is not None and keep.exists():
            return self._change.restored(base, read(keep, about, "base"))
        classes = None
        if self.prior > 0 and self.class_images is not None:
            shared = () if keep is None else _shared(keep)
            classes = self.class_images(base, self._called(f"a {self.noun}"), *shared)

        def save(path: Path, kept: Mapping[str, Tensor]) -> None:
            write(path, kept, about)

        on_the_way = {steps: partial(save, path) for steps, path in passing.items()}
        kept = self._learned(base, photos if variants is None else variants(photos), classes, on_the_way)
        if keep is not None:
            save(keep, kept)
        return self._change.restored(base, kept)

    def _called(self, name: str) -> str:
        return self.prompt.replace(PLACEHOLDER, name)

    def _about(self, base: TextToImage) -> dict[str, str]:
        """What a file says of itself, and must say to be of use here."""
        start = fingerprint({**base.unet.state_dict(), **base.text_encoder.state_dict()})
        dtype = str(base.unet.dtype).removeprefix("torch.")
        return {"profusion": FORMAT, "dtype": dtype, "holds": self._change.holds(base), "start": start}

    def _learned(
        self,
        base: TextToImage,
        photos: Tensor,
        classes: Tensor | None,
        passing: Mapping[int, Callable[[dict[str, Tensor]], None]],
    ) -> dict[str, Tensor]:
        """What is to be kept of whoever is shown, with class images [N, 3, H, W] or without.

        passing: what is done with it after so many steps.
        """
        own, trained = self._change.begin(base)
        own.unet.train()
        if self.gradient_checkpointing:
            own.unet.enable_gradient_checkpointing()

        def passed(save: Callable[[dict[str, Tensor]], None]) -> None:
            save(self._change.kept(base, own))

        with torch.enable_grad():
            optimise(
                trained,
                self._loss(base, own, photos, classes),
                steps=self.steps,
                lr=self.lr,
                weight_decay=self.weight_decay,
                dtype=base.unet.dtype,
                setting="method.lr",
                passing={steps: partial(passed, save) for steps, save in passing.items()},
            )
        return self._change.kept(base, own)

    def _loss(
        self, base: TextToImage, own: TextToImage, photos: Tensor, classes: Tensor | None
    ) -> Callable[[int], Tensor]:
        """The noise loss of the photos at a step and, by `prior`, that of the class images; in one U-Net call."""
        shown = [NoisedPhotos(base, photos, slots=range(self.batch), seed=self.seed)]
        prompts = [self._called(f"{self.identifier} {self.noun}")] * self.batch
        if classes is not None:
            shown.append(NoisedPhotos(base, classes, slots=range(self.batch, 2 * self.batch), seed=self.seed))
            prompts += [self._called(f"a {self.noun}")] * self.batch
        with torch.no_grad():
            frozen = None if self.text_encoder else base.text(prompts)

        def loss_at(step: int) -> Tensor:
            x_t, t, eps = (torch.cat(column) for column in zip(*(each(step) for each in shown), strict=True))
            with autocast_of(base.unet):
                predicted = own.predict_noise(x_t, t, own.text(prompts) if frozen is None else frozen)
            own_loss, *prior_loss = map(denoising_loss, predicted.split(self.batch), eps.split(self.batch))
            return own_loss + self.prior * prior_loss[0] if prior_loss else own_loss

        return loss_at


def _shared(keep: Path) -> tuple[Path, str]:
    """The folder of class images, and the digest of the code that makes them."""
    return shared_by_all(keep) / "class_images", code_digest(PACKAGE, CODE)
