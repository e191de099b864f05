"""Numbers as small integers, so that a browser can paint them and say them without asking again."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from torch import Tensor

from ldm_lab.core.errors import RequestError
from ldm_lab.core.images import to_numpy

TYPES = {8: "<u1", 16: "<u2"}


@dataclass(frozen=True, slots=True)
class Planes:
    """Planes of numbers, each as a count of equal steps above the lowest; the largest count stands for no number.

    Attributes:
        data: The counts, little-endian, in the order of the numbers.
        shape: Of the numbers.
        bits: Of a count.
        low: What 0 stands for.
        step: What each further one adds; numbers are right to half of it.
    """

    data: bytes
    shape: tuple[int, ...]
    bits: int
    low: float
    step: float

    @property
    def high(self) -> float:
        """What the highest count stands for."""
        return self.low + self.step * (2**self.bits - 2)


def planes(values: Tensor, *, bits: Literal[8, 16] = 16, low: float | None = None) -> Planes:
    """Write numbers as counts; NaN and infinite ones as the largest count, 255 or 65535.

    Args:
        values: Of any shape.
        bits: 8 to be painted; 16 to be said, with four digits.
        low: What 0 shall stand for, such as 0 for shares; None: the lowest finite number.

    Raises:
        RequestError: If a number lies below ``low``.
    """
    numbers = to_numpy(values.float()).astype(np.float64)
    finite = np.isfinite(numbers)
    found = numbers[finite]
    lowest = float(found.min()) if found.size else 0.0
    start = lowest if low is None else low
    if lowest < start:
        raise RequestError(f"the lowest number is {lowest:.4g}, below {start:.4g}; give a lower start")
    missing = 2**bits - 1
    step = max((float(found.max()) if found.size else start) - start, 1e-12) / (missing - 1)
    counts = np.where(finite, ((np.where(finite, numbers, start) - start) / step).round(), missing)
    return Planes(counts.astype(TYPES[bits]).tobytes(), tuple(values.shape), bits, start, step)
