"""What a person of the embedded world wears: clothes, glasses, hats, headphones, a crown."""

import numpy as np

from src.tiny_world.renderer.canvas import CIRCLE, DARK, SHOULDER, Canvas, shade
from src.tiny_world.renderer.people import Person
from src.tiny_world.renderer.scenes import COLOURS


def clothes_on(canvas: Canvas, person: Person, clothes: str) -> None:
    """Shirt, suit or costume, and the neck that comes out of it."""
    top = [(-8, SHOULDER - 1), (8, SHOULDER - 1), (19, 24), (23, 50), (-23, 50), (-19, 24)]
    neck = shade(person.skin, 0.86)
    if clothes == "suit":
        canvas.polygon(top, (34, 36, 52), solid=True)
        canvas.polygon([(-5, SHOULDER - 1), (5, SHOULDER - 1), (0, 34)], (245, 245, 245))
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
    canvas.box(-4.2, 10, 4.2, SHOULDER + 1.5, neck, solid=True)


def eyewear_on(canvas: Canvas, person: Person, eyewear: str) -> None:
    """Glasses or sunglasses."""
    if eyewear == "none":
        return
    x, half = person.eye_spacing, person.eye_spacing - 0.9
    canvas.bar((-person.face_width, -0.5), (person.face_width, -0.5), 1.0, DARK)
    for side in (-1, 1):
        if eyewear == "sunglasses":
            canvas.ellipse(side * x, 0.4, half + 0.4, 3.9, DARK)
            continue
        ring = np.concatenate([CIRCLE * (half + 0.3, 4.2), (CIRCLE * (half - 0.8, 3.1))[::-1]])
        ring = np.concatenate([ring[:28], ring[:1], ring[-1:], ring[28:]])
        canvas.polygon(ring + (side * x, 0.2), DARK)


def headwear_on(canvas: Canvas, person: Person, headwear: str) -> None:
    """A hat, beanie, crown or headphones."""
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
            [(-width * 0.78, line), (-width * 0.66, line - 10.5), (width * 0.66, line - 10.5), (width * 0.78, line)],
            colour,
            solid=True,
        )
        canvas.box(-width * 0.78, line - 3.4, width * 0.78, line - 0.8, DARK)
        canvas.ellipse(0, line, width + 6, 2.6, colour, solid=True)
    elif headwear.endswith("beanie"):
        dome = CIRCLE[CIRCLE[:, 1] <= 0.01] * (width + 1.8, high * 0.62 + 1.5) + (0, line)
        canvas.polygon(dome, colour, solid=True)
        canvas.box(-width - 1.8, line - 1.5, width + 1.8, line + 2.2, shade(colour, 0.75), solid=True)
        canvas.ellipse(0, line - high * 0.62 - 2.4, 2.4, 2.4, (250, 250, 250), solid=True)
    else:
        band = np.concatenate(
            [CIRCLE[14:] * (width + 3.6, high + 3.4), (CIRCLE[14:] * (width + 1.4, high + 1.2))[::-1]]
        )
        canvas.polygon(band, DARK, solid=True)
        for side in (-1, 1):
            canvas.ellipse(side * (width + 2.2), 2, 3.2, 5, colour, solid=True)
