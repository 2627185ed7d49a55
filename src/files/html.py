"""An HTML page with everything in it, made from Jinja templates; the only importer of jinja2."""

import base64
import io
import json
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from PIL import Image

SHARED = Path(__file__).parent / "assets"  # what pages of several rooms include


def filled(page: Path, **values: Any) -> str:
    """The page of a template, which may include files that lie beside it or in SHARED.

    Values are escaped; `{{ data | json }}` stands in a script element. ValueError for nan, of which JSON knows nothing.
    """
    templates = Environment(
        loader=FileSystemLoader([page.parent, SHARED]),
        autoescape=True,
        keep_trailing_newline=True,
        undefined=StrictUndefined,
    )
    templates.filters["json"] = _as_json
    return templates.get_template(page.name).render(values)


def parts(assets: Path) -> list[Path]:
    """All files that pages with templates in this folder are made of."""
    return [*sorted(SHARED.iterdir()), *sorted(assets.iterdir())]


def _as_json(data: Any) -> Markup:
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c"))  # so that no word of it ends the script


def data_uri(image: Image.Image, pixels: int) -> str:
    """A picture as data URI without its metadata: lossless PNG while it is small, else WebP of at most `pixels`."""
    image, small = image.copy(), max(image.size) <= min(pixels, 128)
    image.thumbnail((pixels, pixels), Image.Resampling.LANCZOS)
    data, kind = io.BytesIO(), "PNG" if small else "WEBP"
    image.save(data, format=kind, **({"optimize": True} if small else {"quality": 85}))
    return f"data:image/{kind.lower()};base64,{base64.b64encode(data.getvalue()).decode()}"
