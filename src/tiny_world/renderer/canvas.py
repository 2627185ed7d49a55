"""Where a drawing happens: polygons in face coordinates on a picture and on the subject's mask."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from src.tiny_world.renderer.scenes import SIZE, Scene

OVERSAMPLING = 4
SHOULDER = 19.0  # face coordinates: below the chin of the longest face
Colour = tuple[int, int, int]
DARK: Colour = (28, 26, 32)
ANGLES = np.linspace(0, 2 * np.pi, 28, endpoint=False)
CIRCLE = np.stack([np.cos(ANGLES), np.sin(ANGLES)], 1)


def shade(colour: Colour, factor: float) -> Colour:
    """Darker for a factor below 1, lighter above."""
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
        self.polygon(CIRCLE * (rx, ry) + (cx, cy), colour, solid)

    def box(self, x0: float, y0: float, x1: float, y1: float, colour: Colour, solid: bool = False) -> None:
        self.polygon([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], colour, solid)

    def bar(self, a: tuple[float, float], b: tuple[float, float], width: float, colour: Colour) -> None:
        (ax, ay), (bx, by) = a, b
        length = max(1e-6, float(np.hypot(bx - ax, by - ay)))
        nx, ny = -(by - ay) / length * width / 2, (bx - ax) / length * width / 2
        self.polygon([(ax + nx, ay + ny), (bx + nx, by + ny), (bx - nx, by - ny), (ax - nx, ay - ny)], colour)
