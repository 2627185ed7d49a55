"""The subject of a drawing: head, hair and face, as polygons in face coordinates."""

import numpy as np

from src.tiny_world.renderer.canvas import ANGLES, Canvas, shade
from src.tiny_world.renderer.clothes import clothes_on, eyewear_on, headwear_on
from src.tiny_world.renderer.people import Person
from src.tiny_world.renderer.scenes import Scene

_MARK_AT = {"left cheek": (-7.0, 6.5), "right cheek": (7.0, 6.5), "chin": (3.4, 13.2), "forehead": (-3.0, -7.2)}


def subject(canvas: Canvas, person: Person, scene: Scene) -> None:
    """Draw the person as the scene wants, back to front."""
    if scene.clothes == "superhero costume":
        canvas.polygon([(-13, 20), (13, 20), (27, 46), (-27, 46)], (190, 24, 34), solid=True)
    _back_hair(canvas, person)
    clothes_on(canvas, person, scene.clothes)
    _head(canvas, person)
    _face(canvas, person, scene.expression)
    if not scene.headwear.endswith(("hat", "beanie")):
        _top_hair(canvas, person)
    else:
        _fringe(canvas, person)
    eyewear_on(canvas, person, scene.eyewear)
    headwear_on(canvas, person, scene.headwear)


def head_outline(person: Person, grow: float = 0.0) -> np.ndarray:
    """A superellipse: rounder above, squarer or more pointed below."""
    cos, sin = np.cos(ANGLES), np.sin(ANGLES)
    power = np.where(sin > 0, 0.62 + 0.55 * (1 - person.jaw), 0.9)
    x = np.sign(cos) * np.abs(cos) ** power * (person.face_width + grow)
    return np.stack([x, sin * (person.face_height + grow)], 1)


def _back_hair(canvas: Canvas, person: Person) -> None:
    dark = shade(person.hair, 0.8)
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
        canvas.ellipse(side * person.face_width, 2, 2.4, 3.4, shade(person.skin, 0.9), solid=True)
        if person.earrings:
            canvas.ellipse(side * (person.face_width + 0.8), 6.4, 1.5, 1.5, (255, 215, 70), solid=True)
    canvas.polygon(head_outline(person), person.skin, solid=True)
    rng = np.random.default_rng(person.freckles)
    for _ in range(person.freckles):
        for side in (-1, 1):
            x, y = side * rng.uniform(4, 8.5), rng.uniform(3.6, 7.5)
            canvas.ellipse(x, y, 0.75, 0.75, shade(person.skin, 0.62))


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
    brow = shade(person.hair, 0.62) if person.hair_style != "bald" else shade(person.skin, 0.45)
    canvas.bar(inner, outer, person.brow_thickness, brow)


def _nose(canvas: Canvas, person: Person) -> None:
    dark = shade(person.skin, 0.76)
    canvas.polygon(
        [(0, 1), (person.nose_width, person.nose_length + 1), (-person.nose_width, person.nose_length + 1)], dark
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
    colour = shade(person.hair, 0.85)
    if person.beard == "full":
        outline = head_outline(person, 0.6)
        canvas.polygon(outline[outline[:, 1] > 2.0], colour, solid=True)
        canvas.ellipse(0, 3.5, person.face_width * 0.68, mouth_y - 4.2, person.skin)
    elif person.beard == "goatee":
        canvas.ellipse(0, person.face_height - 2.2, 4.6, 3.6, colour, solid=True)
    if person.beard in ("full", "moustache"):
        canvas.bar((-person.mouth_width - 0.6, mouth_y - 1.7), (person.mouth_width + 0.6, mouth_y - 1.7), 1.9, colour)


def _cap_of_hair(canvas: Canvas, person: Person, line: float) -> None:
    outline = head_outline(person, 1.2)
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
            [(-half, -high + 7), (-half - 0.8, top), (half + 0.8, top), (half, -high + 7)], person.hair, solid=True
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
        canvas.polygon([*points, (-width * 0.7, -high * 0.34)], shade(person.hair, 1.12), solid=True)
    if style == "long":
        for side in (-1, 1):
            edge = side * (person.face_width + 1.6)
            canvas.polygon(
                [(edge, -9), (edge - side * 3.4, -9), (edge - side * 2.2, 9), (edge, 9)], person.hair, solid=True
            )


def _fringe(canvas: Canvas, person: Person) -> None:
    """What of the hair shows under a hat."""
    if person.hair_style in ("bald", "mohawk"):
        return
    for side in (-1, 1):
        edge = side * (person.face_width + 0.8)
        canvas.polygon(
            [(edge, -9), (edge - side * 2.6, -9), (edge - side * 1.2, -1), (edge, -1)], person.hair, solid=True
        )
