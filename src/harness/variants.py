"""Variants of somebody's photo that augmentation made: stored, looked at, and used again."""

from collections.abc import Callable
from pathlib import Path

import torch
from omegaconf import DictConfig
from torch import Tensor

from src.data.photos import read_photos
from src.files.whole import locked
from src.harness.build import build
from src.models.base import TextToImage
from src.reports.grids import contact_sheet
from src.runs.listing import LISTING, check_listing, write_listing
from src.runs.store import save_png, to_picture

SHEET = "sheet.png"


def variants_of(augmentation: DictConfig, base: TextToImage, photos: Tensor, masks: Tensor) -> Tensor:
    """Each photo of [P, 3, H, W] and its variants, one after the other."""
    augment, inpaint = build(augmentation.augment), build(augmentation.inpainter)(base)
    return torch.cat([augment(photo, mask, inpaint) for photo, mask in zip(photos, masks, strict=True)])


def kept_variants(folder: Path, size: int, make: Callable[[], Tensor]) -> Tensor:
    """The variants [V, 3, size, size] in [-1, 1] that lie in `folder`; made first, with a contact sheet, if they don't.

    What is given back was read from the files, so that a second run learns from exactly what the first one did.
    ValueError names a file that is damaged or missing.
    """
    with locked(folder.with_suffix(".lock"), f"variants of {folder.name}"):
        if not (folder / LISTING).exists():  # written last: all variants are there
            _write(folder, make())
        check_listing(folder)
    return read_photos(sorted(folder.glob("[0-9]*.png")), size)


def _write(folder: Path, variants: Tensor) -> None:
    pictures = [to_picture(variant.cpu()) for variant in variants]
    for number, picture in enumerate(pictures):
        save_png(folder / f"{number:03d}.png", picture, {"variant": number})
    save_png(folder / SHEET, contact_sheet(pictures, columns=8), {"variants": len(pictures)})
    write_listing(folder)
