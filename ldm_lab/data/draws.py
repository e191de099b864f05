"""Draws of the data sets, by ``Random.random`` alone, whose numbers are the same in all versions of Python."""

import random
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


def pick(rng: random.Random, options: Sequence[T]) -> T:
    """One of the options, all equally likely."""
    return options[int(rng.random() * len(options))]


def uniform(rng: random.Random, low: float, high: float) -> float:
    """A number from ``low`` to ``high``."""
    return low + (high - low) * rng.random()


def integer(rng: random.Random, low: int, high: int) -> int:
    """An integer from ``low`` to ``high``, both included."""
    return low + int(rng.random() * (high - low + 1))


def shuffled(rng: random.Random, items: Sequence[T]) -> list[T]:
    """The items in random order."""
    keys = [rng.random() for _ in items]
    return [items[place] for place in sorted(range(len(items)), key=keys.__getitem__)]
