"""Which example comes when: a stream that has no state, so that any position can be asked for at any time."""

from collections.abc import Iterator
from functools import lru_cache

import torch

from ldm_lab.core.seeding import generator


def stream_indices(start: int, count: int, *, length: int | None, seed: int) -> list[int]:
    """Indices of the examples at positions ``start`` to ``start + count`` of an endless training stream.

    Args:
        start: First position.
        count: Number of positions.
        length: Number of examples; every epoch shows each of them once, in an order of its own. None: the data set is
            endless and read in its own order.
        seed: Seed of the orders.
    """
    if length is None:
        return list(range(start, start + count))
    return [_epoch_order(length, seed, epoch)[place] for epoch, place in _places(start, count, length)]


def epoch_of(position: int, *, length: int | None) -> int:
    """Number of the epoch, from 0, that a position of the stream belongs to; an endless data set has only one."""
    return 0 if length is None else position // length


def _places(start: int, count: int, length: int) -> Iterator[tuple[int, int]]:
    return (divmod(position, length) for position in range(start, start + count))


@lru_cache(maxsize=2)
def _epoch_order(length: int, seed: int, epoch: int) -> list[int]:
    return torch.randperm(length, generator=generator(seed, "order", epoch)).tolist()
