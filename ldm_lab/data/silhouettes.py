"""Closed forms of the eight shapes: signed distances in a unit frame, negative inside.

Every shape fits into the unit circle around the origin, has y pointing up, and is its own mirror image in x. Distances
are exact beside an edge, which is where anti-aliasing needs them; at a corner they belong to the extended edges, so
that corners are mitred rather than rounded. The heart follows Inigo Quilez, "2D distance functions".
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

CIRCLE_RADIUS = 0.84
RING_RADIUS, RING_HALF_WIDTH = 0.70, 0.20  # of the middle line of the band
SQUARE_HALF_SIDE = math.sqrt(0.5)
DIAMOND_HALF_WIDTH = 0.70  # the half height is 1: slim, so that no rotation makes it a square
CROSS_HALF_LENGTH, CROSS_HALF_WIDTH = 0.94, 0.32
STAR_INNER_RADIUS = 0.45
HEART_RADIUS = 0.63  # of the smallest circle around the heart whose lobes touch (0, 1) and whose tip is the origin


def circle(x: Tensor, y: Tensor) -> Tensor:
    """A disc, smaller than the unit circle so that its area is near that of the others."""
    return torch.hypot(x, y) - CIRCLE_RADIUS


def square(x: Tensor, y: Tensor) -> Tensor:
    """Corners on the unit circle."""
    return torch.maximum(x.abs(), y.abs()) - SQUARE_HALF_SIDE


def triangle(x: Tensor, y: Tensor) -> Tensor:
    """Equilateral, one corner up, corners on the unit circle."""
    side = x.abs() * math.sqrt(0.75) + y * 0.5
    return torch.maximum(side, -y) - 0.5


def star(x: Tensor, y: Tensor) -> Tensor:
    """Five points on the unit circle, one of them up, folded onto the half wedge of one point."""
    wedge = 2 * math.pi / 5
    angle = torch.atan2(x.abs(), y)
    angle = (angle - wedge * torch.round(angle / wedge)).abs()
    radius = torch.hypot(x, y)
    notch_x, notch_y = STAR_INNER_RADIUS * math.sin(wedge / 2), STAR_INNER_RADIUS * math.cos(wedge / 2)
    edge = radius * (torch.sin(angle) * (1 - notch_y) + torch.cos(angle) * notch_x)
    return (edge - notch_x) / math.hypot(1 - notch_y, notch_x)


def heart(x: Tensor, y: Tensor) -> Tensor:
    """A square on its tip with a half disc on each of its two upper sides."""
    x, y = x.abs() * HEART_RADIUS, (y + 1) * HEART_RADIUS
    lobe = torch.hypot(x - 0.25, y - 0.75) - math.sqrt(0.125)
    along = (0.5 * (x + y)).clamp(min=0)
    flank = torch.minimum(torch.hypot(x, y - 1), torch.hypot(x - along, y - along)) * torch.sign(x - y)
    return torch.where(x + y > 1, lobe, flank) / HEART_RADIUS


def cross(x: Tensor, y: Tensor) -> Tensor:
    """A plus sign: the union of two bars."""
    longer, shorter = torch.maximum(x.abs(), y.abs()), torch.minimum(x.abs(), y.abs())
    return torch.maximum(longer - CROSS_HALF_LENGTH, shorter - CROSS_HALF_WIDTH)


def ring(x: Tensor, y: Tensor) -> Tensor:
    """A band around an open middle."""
    return (torch.hypot(x, y) - RING_RADIUS).abs() - RING_HALF_WIDTH


def diamond(x: Tensor, y: Tensor) -> Tensor:
    """A rhombus on its tip, taller than wide."""
    edge = x.abs() + y.abs() * DIAMOND_HALF_WIDTH - DIAMOND_HALF_WIDTH
    return edge / math.hypot(1, DIAMOND_HALF_WIDTH)


SILHOUETTES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "circle": circle,
    "square": square,
    "triangle": triangle,
    "star": star,
    "heart": heart,
    "cross": cross,
    "ring": ring,
    "diamond": diamond,
}


def signed_distance(shape: str, pose: Tensor, size: int, *, canvas: float) -> Tensor:
    """Distance of every pixel centre from the outlines of objects of one shape, in pixels, negative inside.

    Args:
        shape: A key of ``SILHOUETTES``.
        pose: Centre x, centre y (down), radius in canvas units; rotation in degrees, clockwise. (N, 4)
        size: Height and width of the pixel grid.
        canvas: Side of the canvas in its own units.

    Returns:
        (N, size, size)
    """
    centre_x, centre_y, radius, rotation = pose.float()[:, :, None, None].unbind(1)  # 4 of (N, 1, 1)
    pixels = (torch.arange(size, device=pose.device) + 0.5) * (canvas / size)
    dx, dy = (pixels[None, None, :] - centre_x) / radius, (centre_y - pixels[None, :, None]) / radius
    sine, cosine = torch.sin(torch.deg2rad(rotation)), torch.cos(torch.deg2rad(rotation))
    distance = SILHOUETTES[shape](dx * cosine - dy * sine, dx * sine + dy * cosine)  # (N, size, size)
    return distance * radius * (size / canvas)
