"""How probes look into a network: with torch's own forward hooks, gone again when the ``with`` block ends."""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager

from torch.utils.hooks import RemovableHandle

MAX_BYTES = 256 * 2**20  # what a recording may keep, unless it is told otherwise


@contextmanager
def hooked(handles: Iterable[RemovableHandle]) -> Iterator[None]:
    """Keep hooks while the block runs; remove them however it ends, also when registering one of them fails."""
    with ExitStack() as stack:
        for handle in handles:
            stack.enter_context(handle)
        yield
