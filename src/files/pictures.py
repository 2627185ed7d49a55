"""The one reader for every picture file, whoever looks at it: trainers, judges, raters and pages see the same."""

import hashlib
import struct
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

# what Pillow's plugins raise over a file they cannot decode
DAMAGE = (OSError, SyntaxError, ValueError, TypeError, IndexError, EOFError, struct.error)


def decode_picture(path: str | Path) -> Image.Image:
    """The whole picture as RGB, 8 bits a channel, turned as its EXIF says, without its metadata.

    CMYK and palettes are converted, 16-bit grey is scaled to 8, transparency lies on white. FileNotFoundError where
    there is no file; ValueError for what is damaged, moves (several frames), or would unpack to a bomb.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"picture {path} does not exist: give the path of an image file")
    try:
        with Image.open(path) as picture:
            frames = 1 if picture.format == "MPO" else getattr(picture, "n_frames", 1)  # MPO: a still and its preview
            still = _to_rgb(ImageOps.exif_transpose(picture)) if frames == 1 else None
    except Image.DecompressionBombError as error:
        raise ValueError(f"picture {path} is too large to be read ({error}): give a smaller copy of it") from error
    except DAMAGE as error:
        raise ValueError(
            f"picture {path} cannot be read as an image ({error}): it is truncated or no image; give another file, or "
            "make it again"
        ) from error
    if still is None:
        raise ValueError(f"picture {path} holds {frames} frames and is no photo: give one of them as a file of its own")
    return still


def _to_rgb(picture: Image.Image) -> Image.Image:
    if picture.mode.startswith("I;16"):  # Pillow's own conversion clips at 255
        return Image.fromarray(_deep_grey(picture)).convert("RGB")
    if picture.mode in ("I", "F"):
        raise ValueError(f"pixels of mode {picture.mode} have no known range")
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB")
    return Image.fromarray(np.asarray(picture.convert("RGB")))


def _deep_grey(picture: Image.Image) -> np.ndarray:
    """16 bits of grey -> uint8 [H, W]; the one level that a PNG may call transparent lies on white."""
    levels = np.asarray(picture, dtype=np.float32)
    grey = np.round(levels / 257).astype(np.uint8)
    clear = picture.info.get("transparency")
    return grey if clear is None else np.where(levels == clear, np.uint8(255), grey)


def pixel_digest(path: str | Path, side: int | None = None) -> str:
    """SHA-256 of what a picture shows, whatever its format and metadata; side: of its central square of so many pixels.

    A photo and the square that a run kept of it (bicubic) have one digest at the square's size.
    """
    picture = decode_picture(path)
    if side is not None and picture.size != (side, side):
        picture = ImageOps.fit(picture, (side, side), Image.Resampling.BICUBIC)
    size = f"{picture.width}x{picture.height} ".encode()
    return hashlib.sha256(size + picture.tobytes()).hexdigest()
