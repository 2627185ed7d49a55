"""What every method of personalisation is: one file beside this one, and one in conf/method/ for each world."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol, runtime_checkable

from torch import Tensor, nn

from src.methods.drawing import Sampler
from src.models.base import TextToImage

# (a prompt with S*, or one for each seed; seeds) -> images [len(seeds), 3, H, W] in [-1, 1]; an image depends on its
# own prompt and seed alone
Generate = Callable[[str | Sequence[str], Sequence[int]], Tensor]
# photos [P, 3, H, W] -> what learning sees instead, as many of each photo, in their order
Variants = Callable[[Tensor], Tensor]


def shared_by_all(keep: Path) -> Path:
    """The folder for what all people share: that of all runs, in which `keep` is KIND/KEY/PERSON.safetensors."""
    return keep.parents[2]


@dataclass(frozen=True)
class Footprint:
    """What a method takes beside the base, found out before anything is loaded: bytes, and photos.

    held: by its networks, all the time. photos: that pass the U-Net with gradients in one step; 0: nobody is learned.
    learning: while somebody is learned. drawing: by whoever was learned. kept: of a person's file.
    """

    held: int = 0
    photos: int = 0
    learning: int = 0
    drawing: int = 0
    kept: int = 0


class Method(Protocol):
    """Learns a person from photos and gives back a generator of images of that person.

    It is built from conf/method/NAME.yaml; the harness adds `sampler`, and the networks that `trained` names, on the
    device and frozen. What is learned of a person is kept in one file, under a key of the method's settings and
    weights, the code of its module with all that it imports, base, photos and augmentation. What all people share
    (images of their class, say) lies in the folder of all runs, `shared_by_all`.

    trained: the settings that are trained networks: built once for all sides, and no others are loaded.
    drawing: the settings that decide how images are drawn and not what is learned.
    files: the settings that name a file or folder -> what to do where it is missing, with the {settings} beside it.
    memory: what to set where memory for learning runs out, as `setting=value, or ...`.
    """

    trained: ClassVar[tuple[str, ...]]
    drawing: ClassVar[tuple[str, ...]]
    files: ClassVar[Mapping[str, str]]
    memory: ClassVar[str]

    @classmethod
    def footprint(cls, settings: Mapping[str, Any], parts: Mapping[str, nn.Module]) -> Footprint:
        """Of a method with these settings, as conf/method/NAME.yaml has them.

        parts: unet, vae, text_encoder and image_encoder of the base, in its precision, on the meta device.
        """
        ...

    @property
    def sampler(self) -> Sampler:
        """How images are drawn."""
        ...

    @property
    def learns(self) -> bool:
        """Whether learning leaves a file; False: there is nothing to keep."""
        ...

    def check(self, base: TextToImage, prompts: Sequence[str], photos: int) -> None:
        """Before anything is learned or written: ValueError for a setting, a sampler or a prompt that cannot be used
        with this base and so many photos of a person."""
        ...

    def learn(
        self,
        base: TextToImage,
        photos: Tensor,
        keep: Path | None = None,
        variants: Variants | None = None,
        people: Sequence[int] | None = None,
    ) -> Generate:
        """photos: [P, 3, H, W] in [-1, 1], on the base's device; the base itself stays as it is.

        keep: the file (.safetensors) for what is learned; if it is there already, it is read instead of learning again.
        variants: what augmentation makes of the photos. people: whom each photo shows, None: all the same person.
        """
        ...


@runtime_checkable
class Passing(Protocol):
    """What a method has besides if whoever is learned for many steps is, on the way, somebody learned for fewer.

    passes: the setting that says for how many. `learn` takes `passing`: fewer steps -> the file for whom so many learn.
    """

    passes: ClassVar[str]


@runtime_checkable
class Sharing(Protocol):
    """What a method has besides if all people share something that it makes, such as images of their class."""

    def prepare(self, base: TextToImage, keep: Path) -> float:
        """Make it where it is not there yet, before the person whose file is `keep` is learned.

        Returns the seconds that it took, now or when it was made; 0 where these settings need nothing.
        """
        ...
