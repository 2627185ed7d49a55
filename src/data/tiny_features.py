"""The subject of a drawing: clothes, hair, face, and what is worn, as polygons in face coordinates."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from src.data.tiny_faces import COLOURS, SIZE, Person, Scene

OVERSAMPLING = 4
Colour = tuple[int, int, int]
_ANGLES = np.linspace(0, 2 * np.pi, 28, endpoint=False)
_CIRCLE = np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], 1)
_DARK: Colour = (28, 26, 32)
_SHOULDER = 19.0  # face coordinates: below the chin of the longest face
_MARK_AT = {
    "left cheek": (-7.0, 6.5),
    "right cheek": (7.0, 6.5),
    "chin": (3.4, 13.2),
    "forehead": (-3.0, -7.2),
}


def _shade(colour: Colour, factor: float) -> Colour:
    red, green, blue = (int(min(255, max(0, factor * c))) for c in colour)
    return red, green, blue


class Canvas:
    """Polygons in face coordinates (pixels, origin between the eyes, y down), posed, on a picture and on its mask."""

    def __init__(self, picture: Image.Image, scene: Scene):
        self.picture = ImageDraw.Draw(picture)
        self.mask_image = Image.new("L", picture.size)
        self.mask = ImageDraw.Draw(self.mask_image)
        angle = np.deg2rad(scene.tilt)
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        self.matrix = scene.scale * OVERSAMPLING * turn.T
        self.origin = OVERSAMPLING * np.array([SIZE / 2 + scene.x, 30 + scene.y])

    def polygon(self, points: Sequence[Sequence[float]] | np.ndarray, colour: Colour, solid: bool = False) -> None:
        """`solid` shapes belong to the silhouette; the others lie inside it."""
        placed = (np.asarray(points, float) @ self.matrix + self.origin).ravel().tolist()
        self.picture.polygon(placed, fill=colour)
        if solid:
            self.mask.polygon(placed, fill=255)

    def ellipse(self, cx: float, cy: float, rx: float, ry: float, colour: Colour, solid: bool = False) -> None:
        self.polygon(_CIRCLE * (rx, ry) + (cx, cy), colour, solid)

    def box(self, x0: float, y0: float, x1: float, y1: float, colour: Colour, solid: bool = False) -> None:
        self.polygon([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], colour, solid)

    def bar(self, a: tuple[float, float], b: tuple[float, float], width: float, colour: Colour) -> None:
        (ax, ay), (bx, by) = a, b
        length = max(1e-6, float(np.hypot(bx - ax, by - ay)))
        nx, ny = -(by - ay) / length * width / 2, (bx - ax) / length * width / 2
        self.polygon([(ax + nx, ay + ny), (bx + nx, by + ny), (bx - nx, by - ny), (ax - nx, ay - ny)], colour)


def subject(canvas: Canvas, person: Person, scene: Scene) -> None:
    """Draw the person as the scene wants, back to front."""
    if scene.clothes == "superhero costume":
        canvas.polygon([(-13, 20), (13, 20), (27, 46), (-27, 46)], (190, 24, 34), solid=True)
    _back_hair(canvas, person)
    _clothes(canvas, person, scene.clothes)
    _head(canvas, person)
    _face(canvas, person, scene.expression)
    if not scene.headwear.endswith(("hat", "beanie")):
        _top_hair(canvas, person)
    else:
        _fringe(canvas, person)
    _eyewear(canvas, person, scene.eyewear)
    _headwear(canvas, person, scene.headwear)


def _head_outline(person: Person, grow: float = 0.0) -> np.ndarray:
    """A superellipse: rounder above, squarer or more pointed below."""
    cos, sin = np.cos(_ANGLES), np.sin(_ANGLES)
    power = np.where(sin > 0, 0.62 + 0.55 * (1 - person.jaw), 0.9)
    x = np.sign(cos) * np.abs(cos) ** power * (person.face_width + grow)
    return np.stack([x, sin * (person.face_height + grow)], 1)


def _clothes(canvas: Canvas, person: Person, clothes: str) -> None:
    top = [(-8, _SHOULDER - 1), (8, _SHOULDER - 1), (19, 24), (23, 50), (-23, 50), (-19, 24)]
    neck = _shade(person.skin, 0.86)
    if clothes == "suit":
        canvas.polygon(top, (34, 36, 52), solid=True)
        canvas.polygon([(-5, _SHOULDER - 1), (5, _SHOULDER - 1), (0, 34)], (245, 245, 245))
        canvas.polygon([(-1.6, 20), (1.6, 20), (2.2, 34), (-2.2, 34)], (180, 20, 30))
    elif clothes == "superhero costume":
        canvas.polygon(top, (28, 70, 200), solid=True)
        canvas.polygon([(-8, 22), (8, 22), (0, 34)], (250, 210, 40))
        canvas.polygon([(-5, 23), (5, 23), (0, 31)], (200, 30, 36))
    else:
        colour = COLOURS[clothes.split()[0]]
        canvas.polygon(top, colour, solid=True)
        if "striped" in clothes:
            for y in (22, 28, 34, 40):
                half = 9 + 9 * min(1.0, (y - 18) / 6)
                canvas.box(-half, y, half, y + 2.6, (250, 250, 250))
    canvas.box(-4.2, 10, 4.2, _SHOULDER + 1.5, neck, solid=True)


def _back_hair(canvas: Canvas, person: Person) -> None:
    dark = _shade(person.hair, 0.8)
    if person.hair_style == "long":
        bottom = 12 + 12 * person.hair_length
        half = person.face_width + 2.6
        canvas.polygon([(-half, -8), (half, -8), (half + 1.5, bottom), (-half - 1.5, bottom)], dark, solid=True)
    elif person.hair_style == "bun":
        canvas.ellipse(0, -person.face_height - 3.2, 4.4 + 1.6 * person.hair_length, 4.2, dark, solid=True)
    elif person.hair_style == "curly":
        for angle in np.linspace(np.pi * 0.98, np.pi * 2.02, 8):
            reach = person.face_width + 1.0, person.face_height + 0.5
            x, y = reach[0] * np.cos(angle), reach[1] * np.sin(angle) + 1
            canvas.ellipse(x, y, 4 + 2 * person.hair_length, 4 + 2 * person.hair_length, dark, solid=True)


def _head(canvas: Canvas, person: Person) -> None:
    for side in (-1, 1):
        canvas.ellipse(side * person.face_width, 2, 2.4, 3.4, _shade(person.skin, 0.9), solid=True)
        if person.earrings:
            canvas.ellipse(side * (person.face_width + 0.8), 6.4, 1.5, 1.5, (255, 215, 70), solid=True)
    canvas.polygon(_head_outline(person), person.skin, solid=True)
    rng = np.random.default_rng(person.freckles)
    for _ in range(person.freckles):
        for side in (-1, 1):
            x, y = side * rng.uniform(4, 8.5), rng.uniform(3.6, 7.5)
            canvas.ellipse(x, y, 0.75, 0.75, _shade(person.skin, 0.62))


def _face(canvas: Canvas, person: Person, expression: str) -> None:
    mouth_y = 5.2 + person.nose_length * 0.55 + 1.6
    _beard(canvas, person, mouth_y)
    _nose(canvas, person)
    _mouth(canvas, person, expression, mouth_y)
    if person.mark_at in _MARK_AT:
        x, y = _MARK_AT[person.mark_at]
        x, y = x * person.face_width / 13.5, y * person.face_height / 16.5
        canvas.ellipse(x, y, person.mark_radius, person.mark_radius, person.mark)
    for side in (-1, 1):
        _eye(canvas, person, expression, side)


def _eye(canvas: Canvas, person: Person, expression: str, side: int) -> None:
    x, size = side * person.eye_spacing, person.eye_size
    open_up = 1.25 if expression == "surprised" else 1.0
    canvas.ellipse(x, 0, size * 1.12, size * 0.85 * open_up, (250, 250, 250))
    canvas.ellipse(x, 0, size * 0.72, size * 0.72, person.iris)
    canvas.ellipse(x, 0, size * 0.3, size * 0.3, (12, 12, 16))
    tilt = person.brow_tilt + {"angry": 2.4, "sad": -2.4}.get(expression, 0.0)
    y = -size * 0.9 * open_up - 1.9 - (1.2 if expression == "surprised" else 0)
    inner, outer = (x - side * size * 1.2, y + tilt * 0.45), (x + side * size * 1.2, y - tilt * 0.45)
    brow = _shade(person.hair, 0.62) if person.hair_style != "bald" else _shade(person.skin, 0.45)
    canvas.bar(inner, outer, person.brow_thickness, brow)


def _nose(canvas: Canvas, person: Person) -> None:
    dark = _shade(person.skin, 0.76)
    canvas.polygon(
        [(0, 1), (person.nose_width, person.nose_length + 1), (-person.nose_width, person.nose_length + 1)],
        dark,
    )


def _mouth(canvas: Canvas, person: Person, expression: str, y: float) -> None:
    half, thick = person.mouth_width, person.lip_thickness
    if expression == "surprised":
        canvas.ellipse(0, y + 0.8, half * 0.55, 2.6 + 0.5 * thick, person.lips)
        canvas.ellipse(0, y + 0.8, half * 0.55 - thick * 0.6, 2.0, (70, 16, 24))
        return
    bend = {"smiling": 2.6, "sad": -2.4, "angry": -1.2}.get(expression, 0.0)
    across = np.linspace(-1, 1, 9)
    upper = np.stack([half * across, y - bend * (across**2) + bend * 0.4 - thick / 2], 1)
    width = thick * (1 - 0.6 * across**2) + (1.5 * (1 - across**2) if expression == "smiling" else 0)
    lower = upper + np.stack([0 * across, width + 0.3], 1)
    canvas.polygon(np.concatenate([upper, lower[::-1]]), person.lips)
    if expression == "smiling":
        teeth = upper + np.stack([0 * across, 0.35 * width + 0.6], 1)
        canvas.polygon(np.concatenate([upper[1:-1] + (0, 0.5), teeth[1:-1][::-1]]), (252, 252, 250))


def _beard(canvas: Canvas, person: Person, mouth_y: float) -> None:
    colour = _shade(person.hair, 0.85)
    if person.beard == "full":
        outline = _head_outline(person, 0.6)
        canvas.polygon(outline[outline[:, 1] > 2.0], colour, solid=True)
        canvas.ellipse(0, 3.5, person.face_width * 0.68, mouth_y - 4.2, person.skin)
    elif person.beard == "goatee":
        canvas.ellipse(0, person.face_height - 2.2, 4.6, 3.6, colour, solid=True)
    if person.beard in ("full", "moustache"):
        canvas.bar((-person.mouth_width - 0.6, mouth_y - 1.7), (person.mouth_width + 0.6, mouth_y - 1.7), 1.9, colour)


def _cap_of_hair(canvas: Canvas, person: Person, line: float) -> None:
    outline = _head_outline(person, 1.2)
    upper = outline[outline[:, 1] < line]
    order = np.argsort(np.arctan2(upper[:, 1] - line, upper[:, 0]))
    canvas.polygon(upper[order], person.hair, solid=True)


def _top_hair(canvas: Canvas, person: Person) -> None:
    style, high = person.hair_style, person.face_height
    if style == "bald":
        return
    if style == "mohawk":
        half = 2.4 + person.hair_length
        top = -high - 3 - 4 * person.hair_length
        canvas.polygon(
            [(-half, -high + 7), (-half - 0.8, top), (half + 0.8, top), (half, -high + 7)],
            person.hair,
            solid=True,
        )
        return
    line = {"short": -high * 0.62, "fringe": -high * 0.36, "long": -high * 0.5, "bun": -high * 0.66}.get(
        style, -high * 0.56
    )
    _cap_of_hair(canvas, person, line)
    if style == "side parting":
        width = person.face_width
        points = [
            (-width - 0.8, 0),
            (-width - 0.8, -high * 0.6),
            (width * 0.5, -high * 0.8),
            (width * 0.2, -high * 0.5),
        ]
        canvas.polygon([*points, (-width * 0.7, -high * 0.34)], _shade(person.hair, 1.12), solid=True)
    if style == "long":
        for side in (-1, 1):
            edge = side * (person.face_width + 1.6)
            canvas.polygon(
                [(edge, -9), (edge - side * 3.4, -9), (edge - side * 2.2, 9), (edge, 9)],
                person.hair,
                solid=True,
            )


def _fringe(canvas: Canvas, person: Person) -> None:
    """What of the hair shows under a hat."""
    if person.hair_style in ("bald", "mohawk"):
        return
    for side in (-1, 1):
        edge = side * (person.face_width + 0.8)
        canvas.polygon(
            [(edge, -9), (edge - side * 2.6, -9), (edge - side * 1.2, -1), (edge, -1)],
            person.hair,
            solid=True,
        )


def _eyewear(canvas: Canvas, person: Person, eyewear: str) -> None:
    if eyewear == "none":
        return
    x, half = person.eye_spacing, person.eye_spacing - 0.9
    canvas.bar((-person.face_width, -0.5), (person.face_width, -0.5), 1.0, _DARK)
    for side in (-1, 1):
        if eyewear == "sunglasses":
            canvas.ellipse(side * x, 0.4, half + 0.4, 3.9, _DARK)
            continue
        ring = np.concatenate([_CIRCLE * (half + 0.3, 4.2), (_CIRCLE * (half - 0.8, 3.1))[::-1]])
        ring = np.concatenate([ring[:28], ring[:1], ring[-1:], ring[28:]])
        canvas.polygon(ring + (side * x, 0.2), _DARK)


def _headwear(canvas: Canvas, person: Person, headwear: str) -> None:
    width, high = person.face_width, person.face_height
    line = -high * 0.52
    if headwear == "crown":
        low, top = -high * 0.72, -high * 0.72 - 9
        spikes = [(-1, top), (-0.5, low - 4), (0, top), (0.5, low - 4), (1, top)]
        points = [(x * (width - 1), y) for x, y in spikes]
        canvas.polygon([(-width + 1, low), *points, (width - 1, low)], (250, 205, 40), solid=True)
        for x in (-0.6, 0, 0.6):
            canvas.ellipse(x * width, low - 1.8, 1.2, 1.2, (205, 30, 60))
        return
    if headwear == "none":
        return
    colour = COLOURS[headwear.split()[0]]
    if headwear.endswith("hat"):
        canvas.polygon(
            [
                (-width * 0.78, line),
                (-width * 0.66, line - 10.5),
                (width * 0.66, line - 10.5),
                (width * 0.78, line),
            ],
            colour,
            solid=True,
        )
        canvas.box(-width * 0.78, line - 3.4, width * 0.78, line - 0.8, _DARK)
        canvas.ellipse(0, line, width + 6, 2.6, colour, solid=True)
    elif headwear.endswith("beanie"):
        dome = _CIRCLE[_CIRCLE[:, 1] <= 0.01] * (width + 1.8, high * 0.62 + 1.5) + (0, line)
        canvas.polygon(dome, colour, solid=True)
        canvas.box(-width - 1.8, line - 1.5, width + 1.8, line + 2.2, _shade(colour, 0.75), solid=True)
        canvas.ellipse(0, line - high * 0.62 - 2.4, 2.4, 2.4, (250, 250, 250), solid=True)
    else:
        band = np.concatenate(
            [_CIRCLE[14:] * (width + 3.6, high + 3.4), (_CIRCLE[14:] * (width + 1.4, high + 1.2))[::-1]]
        )
        canvas.polygon(band, _DARK, solid=True)
        for side in (-1, 1):
            canvas.ellipse(side * (width + 2.2), 2, 3.2, 5, colour, solid=True)
