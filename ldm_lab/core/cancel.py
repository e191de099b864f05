"""Ending work from outside: a token that somebody cancels, and the places where work looks whether somebody has.

Work looks between its pieces: steps of a walk, patches of a step, tiles, strips and batches of a decoder. Which token
it looks at is said once, around the work, so that no function on the way has to pass it on.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from ldm_lab.core.errors import LdmLabError


class CancelledError(LdmLabError):
    """The work was ended from outside; nothing is wrong with it."""


class CancelToken:
    """What is cancelled once, from any thread."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def cancel(self) -> None:
        """Let the work end at the next place where it looks."""
        self._event.set()

    @property
    def is_cancelled(self) -> bool:
        """Whether somebody has."""
        return self._event.is_set()


_current: ContextVar[CancelToken | None] = ContextVar("cancel token", default=None)


@contextmanager
def cancellable(token: CancelToken) -> Iterator[None]:
    """Let the work inside, of this thread, look at a token instead of the one outside."""
    before = _current.set(token)
    try:
        yield
    finally:
        _current.reset(before)


def check_cancelled() -> None:
    """Look at the token around the work, if there is one.

    Raises:
        CancelledError: If it was cancelled.
    """
    token = _current.get()
    if token is not None and token.is_cancelled:
        raise CancelledError("the work was cancelled")
