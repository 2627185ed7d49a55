"""The renderer of the embedded world: a person in a scene becomes a 64 x 64 picture and its exact subject mask."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from src.tiny_world.renderer.canvas import OVERSAMPLING, Canvas, Colour
from src.tiny_world.renderer.features import subject
from src.tiny_world.renderer.people import Person
from src.tiny_world.renderer.scenes import COLOURS, SIZE, Scene

_LUMA = np.array([0.3, 0.59, 0.11], np.float32)


def _background(scene: Scene) -> Image.Image:
    side = SIZE * OVERSAMPLING
    rng = np.random.default_rng([scene.seed, 3])
    name = scene.background
    if name.endswith(" background"):
        red, green, blue = COLOURS[name.split()[0]]
        soft = (int(0.6 * red + 88), int(0.6 * green + 88), int(0.6 * blue + 88))
        return Image.new("RGB", (side, side), soft)
    sky = {"night sky": (14, 14, 48), "snow": (200, 220, 240), "desert": (250, 205, 140)}.get(name, (140, 205, 250))
    picture = Image.new("RGB", (side, side), (196, 204, 220) if name == "city" else sky)
    pen = _Pen(ImageDraw.Draw(picture), rng)
    getattr(pen, name.split()[0])()  # of the night sky: night
    return picture


class _Pen:
    """Places, in pixels of the 64-pixel frame."""

    def __init__(self, draw: ImageDraw.ImageDraw, rng: np.random.Generator):
        self.draw, self.rng = draw, rng

    def box(self, x0: float, y0: float, x1: float, y1: float, colour: Colour) -> None:
        self.draw.rectangle([x0 * OVERSAMPLING, y0 * OVERSAMPLING, x1 * OVERSAMPLING, y1 * OVERSAMPLING], fill=colour)

    def disc(self, x: float, y: float, r: float, colour: Colour) -> None:
        self.draw.ellipse(
            [(x - r) * OVERSAMPLING, (y - r) * OVERSAMPLING, (x + r) * OVERSAMPLING, (y + r) * OVERSAMPLING],
            fill=colour,
        )

    def shape(self, points: Sequence[tuple[float, float]], colour: Colour) -> None:
        self.draw.polygon([(x * OVERSAMPLING, y * OVERSAMPLING) for x, y in points], fill=colour)

    def beach(self) -> None:
        sea = self.rng.uniform(26, 34)
        self.disc(self.rng.choice([7, 56]) + self.rng.uniform(-2, 2), 9, 5, (255, 240, 120))
        self.box(0, sea, 64, 46, (40, 130, 200))
        self.box(0, 46, 64, 64, (240, 215, 150))

    def forest(self) -> None:
        self.box(0, 0, 64, 64, (165, 215, 160))
        self.box(0, 50, 64, 64, (95, 150, 80))
        for x in (4.0, 17.0, 47.0, 60.0):
            x, top = x + self.rng.uniform(-3, 3), self.rng.uniform(2, 14)
            self.box(x - 1.5, 40, x + 1.5, 56, (110, 70, 40))
            self.shape([(x, top), (x - 8, 44), (x + 8, 44)], (30, int(self.rng.uniform(100, 130)), 50))

    def city(self) -> None:
        for x in (0, 11, 44, 54):
            top, grey = self.rng.uniform(8, 28), int(self.rng.uniform(110, 150))
            self.box(x, top, x + 10, 64, (grey, grey, grey + 12))
            for row in np.arange(top + 3, 62, 6):
                for column in (2, 6):
                    self.box(x + column, row, x + column + 2, row + 3, (255, 235, 130))

    def night(self) -> None:
        for _ in range(16):
            self.disc(self.rng.uniform(0, 64), self.rng.uniform(0, 50), self.rng.uniform(0.5, 0.9), (255, 255, 235))
        self.disc(self.rng.choice([8, 55]), 10, 5.5, (250, 248, 215))

    def snow(self) -> None:
        for x in (10.0, 52.0):
            x, top = x + self.rng.uniform(-5, 5), self.rng.uniform(10, 22)
            self.shape([(x, top), (x - 20, 50), (x + 20, 50)], (140, 155, 185))
            self.shape([(x, top), (x - 5, top + 9), (x + 5, top + 9)], (250, 250, 255))
        self.box(0, 46, 64, 64, (248, 250, 255))

    def desert(self) -> None:
        self.disc(self.rng.uniform(6, 58), 8, 5, (255, 120, 60))
        self.box(0, 44, 64, 64, (225, 165, 85))
        for x in (6.0, 57.0):
            x, top = x + self.rng.uniform(-2, 2), self.rng.uniform(22, 30)
            self.box(x - 2, top, x + 2, 56, (60, 130, 60))
            self.box(x - 5, top + 8, x + 5, top + 11, (60, 130, 60))
            self.box(x - 5, top + 3, x - 3, top + 11, (60, 130, 60))


def draw(person: Person, scene: Scene) -> tuple[np.ndarray, np.ndarray]:
    """The picture, uint8 [64, 64, 3], and the subject's exact mask, uint8 [64, 64] with 0 or 255 (grey on its edge)."""
    picture = _background(scene)
    canvas = Canvas(picture, scene)
    subject(canvas, person, scene)
    small = picture.reduce(OVERSAMPLING)
    return _styled(small, scene), np.asarray(canvas.mask_image.reduce(OVERSAMPLING))


def _styled(picture: Image.Image, scene: Scene) -> np.ndarray:
    style = scene.style
    if style == "pixel art":
        small = picture.resize((16, 16), Image.Resampling.BOX).quantize(12)
        picture = small.convert("RGB").resize((SIZE, SIZE), Image.Resampling.NEAREST)
    elif style == "oil painting":
        picture = picture.filter(ImageFilter.ModeFilter(5))
    pixels = np.asarray(picture, np.float32)
    if style == "pencil sketch":
        grey = pixels @ _LUMA
        blurred = np.asarray(picture.convert("L").filter(ImageFilter.GaussianBlur(1.6)), np.float32)
        dodge = 255 * (grey + 12) / (blurred + 12)
        pixels = np.repeat((0.75 * dodge + 0.25 * grey + 12)[..., None], 3, 2)
    elif style == "black and white photo":
        pixels = np.repeat((pixels @ _LUMA)[..., None], 3, 2)
    elif style == "watercolour":
        soft = np.asarray(picture.filter(ImageFilter.GaussianBlur(1.3)), np.float32)
        pixels = 0.62 * soft + 0.38 * 255
    elif style == "oil painting":
        mean = pixels.mean(2, keepdims=True)
        pixels = 0.9 * (mean + 1.35 * (pixels - mean))
    return np.clip(pixels, 0, 255).astype(np.uint8)
