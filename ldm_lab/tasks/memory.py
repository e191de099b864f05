"""When memory runs out: do less at once, and if that does not help, say so in one sentence."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from ldm_lab.core.cancel import check_cancelled
from ldm_lab.core.errors import NotEnoughMemoryError

BATCHES = (8, 2, 1)  # images decoded at once; at the full resolution memory is largest


def in_batches(function: Callable[[Tensor], Tensor], z: Tensor) -> Tensor:
    """``function(z)`` computed for some rows at a time, and for fewer from where memory runs out.

    Args:
        function: Maps each row alone, such as a decoder; its results should leave the device.
        z: (B, …)

    Raises:
        NotEnoughMemoryError: If there is not enough memory for a single row.
    """
    parts: list[Tensor] = []
    batches = BATCHES
    while (done := sum(map(len, parts))) < len(z):
        check_cancelled()
        rows = z[done : done + batches[0]]
        try:
            with memory_explained(f"to decode {len(rows)} of {len(z)} images"):
                parts.append(function(rows))
        except NotEnoughMemoryError:
            batches = tuple(batch for batch in batches if batch < len(rows))
            if not batches:
                raise
    return torch.cat(parts)


@contextmanager
def memory_explained(task: str) -> Iterator[None]:
    """Turn the complaint of a device without memory into a sentence.

    Args:
        task: What memory is missing for, such as "to decode an image".

    Raises:
        NotEnoughMemoryError: In its place.
    """
    try:
        yield
    except RuntimeError as error:
        if not _is_out_of_memory(error):
            raise
        raise NotEnoughMemoryError(
            f"there is not enough memory {task}; ask for fewer or smaller images, or use another device"
        ) from error


def _is_out_of_memory(error: RuntimeError) -> bool:
    """CUDA has a class of its own for it; the CPU's allocator and Apple's GPUs only have words."""
    words = ("can't allocate memory", "out of memory")
    return isinstance(error, torch.OutOfMemoryError) or any(word in str(error) for word in words)
