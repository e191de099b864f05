"""How evaluations go through many images: in batches, each reported when it is done."""

from collections.abc import Callable, Iterator
from typing import Any

from torch import Tensor

BATCH = 32

OnProgress = Callable[[int], Any]  # called with the number of images done


def counted(batches: Iterator[Tensor], on_progress: OnProgress | None, *, done: int = 0) -> Iterator[Tensor]:
    """The same batches, each reported when it is there, on top of ``done`` images before them."""
    for batch in batches:
        done += len(batch)
        if on_progress is not None:
            on_progress(done)
        yield batch
