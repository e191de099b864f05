"""Overlapping tiles of a plane: where they lie, and how what was made of them becomes one plane again."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ldm_lab.core.cancel import check_cancelled
from ldm_lab.core.errors import RequestError


@dataclass(frozen=True, slots=True)
class Tile:
    """A rectangle of a plane."""

    top: int
    left: int
    height: int
    width: int

    def of(self, plane: Tensor, *, scale: int = 1) -> Tensor:
        """View of the tile in a plane (..., H, W) whose sides are ``scale`` times those that the tile was cut from."""
        top, left = scale * self.top, scale * self.left
        return plane[..., top : top + scale * self.height, left : left + scale * self.width]


def tiles_of(height: int, width: int, *, size: int, overlap: int) -> list[Tile]:
    """Cover a plane with squares of one size, evenly spread; where a side is shorter than that, they are as short.

    Args:
        height: Height of the plane.
        width: Width of the plane.
        size: Side of a tile.
        overlap: What neighbours share at least.

    Raises:
        RequestError: If a tile is empty, or the overlap is not from 0 to less than ``size``.
    """
    if size < 1 or not 0 <= overlap < size:
        raise RequestError(
            f"tiles have the size {size} and the overlap {overlap}; the size must be at least 1, and the overlap from "
            "0 to less than the size"
        )
    return [
        Tile(top, left, min(size, height), min(size, width))
        for top in _starts(height, size=size, overlap=overlap)
        for left in _starts(width, size=size, overlap=overlap)
    ]


def in_tiles(
    function: Callable[[Tensor, Tile], Tensor], plane: Tensor, *, size: int, overlap: int, scale: int = 1
) -> Tensor:
    """Apply a function to overlapping tiles, and blend the results.

    Where tiles overlap, their weights fade to the edges (sine squared), so that no seam is sharp. One tile that is the
    whole plane gives what the function gives, bit for bit. Before each tile it is asked whether the work was cancelled.

    Args:
        function: (tile of the plane, where it lies) → (B', C', scale x height, scale x width).
        plane: (B, C, H, W)
        size: Side of a tile in the plane.
        overlap: What neighbours share at least.
        scale: How many times larger the result is.

    Returns:
        (B', C', scale x H, scale x W)
    """
    height, width = plane.shape[-2:]
    tiles = tiles_of(height, width, size=size, overlap=overlap)
    if len(tiles) == 1:
        return function(plane, tiles[0])
    parts = [_made(function, plane, tile) for tile in tiles]
    total = parts[0].new_zeros(*parts[0].shape[:2], scale * height, scale * width)
    weights = total.new_zeros(total.shape[2:])
    weight = _fading(scale * tiles[0].height, scale * tiles[0].width).to(total)  # all tiles are of one size
    for tile, part in zip(tiles, parts, strict=True):
        tile.of(total, scale=scale).add_(weight * part)
        tile.of(weights, scale=scale).add_(weight)
    return total / weights


def _made(function: Callable[[Tensor, Tile], Tensor], plane: Tensor, tile: Tile) -> Tensor:
    check_cancelled()
    return function(tile.of(plane), tile)


def _starts(side: int, *, size: int, overlap: int) -> list[int]:
    if side <= size:
        return [0]
    count = math.ceil((side - overlap) / (size - overlap))
    return [round(index * (side - size) / (count - 1)) for index in range(count)]


def _fading(height: int, width: int) -> Tensor:
    """Positive weights, largest in the middle. (H, W)"""
    rows, columns = (torch.sin(math.pi * (torch.arange(n) + 0.5) / n).square() for n in (height, width))
    return torch.outer(rows, columns)
