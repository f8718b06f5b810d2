"""Marks of lines and dots that differ in shape, so that colour alone tells nothing."""

import math

from reportgen.rendering.plots.canvas import Point

SHAPES = 6


def circle(x: float, y: float, radius: float) -> list[Point]:
    """Return a circle as a polygon."""
    return turned(x, y, radius, 20, 0)


def shape(number: int, x: float, y: float, radius: float) -> list[Point]:
    """Return one of ``SHAPES`` shapes of like size: circle, square, diamond, triangles up and down, hexagon."""
    corners, angle, size = [
        (20, 0.0, 1.0),
        (4, 45.0, 1.2),
        (4, 0.0, 1.3),
        (3, -90.0, 1.35),
        (3, 90.0, 1.35),
        (6, 0.0, 1.1),
    ][number % SHAPES]
    return turned(x, y, radius * size, corners, angle)


def turned(x: float, y: float, radius: float, corners: int, angle: float) -> list[Point]:
    """Return a regular polygon, turned by an angle in degrees."""
    steps = (math.radians(angle + 360 * i / corners) for i in range(corners))
    return [(x + radius * math.cos(a), y + radius * math.sin(a)) for a in steps]
