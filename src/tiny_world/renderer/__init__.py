"""The people of the embedded world and their pictures: a pure function of seeds."""

from src.tiny_world.renderer import captions, drawing, people

__all__ = ["captions", "drawing", "people"]
