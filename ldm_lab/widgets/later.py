"""Work that waits until the hand on a slider rests."""

import threading
from collections.abc import Callable
from typing import Any

PAUSE_SEC = 0.15


class Later:
    """Calls a function once, a moment after it was last asked to."""

    def __init__(self, function: Callable[[], Any], *, pause_sec: float = PAUSE_SEC) -> None:
        self._function, self._pause_sec = function, pause_sec
        self._timer: threading.Timer | None = None
        self._changed = threading.Lock()

    def ask(self) -> None:
        """Begin to wait, anew if it waits already."""
        with self._changed:
            self._stop()
            self._timer = threading.Timer(self._pause_sec, self._function)
            self._timer.daemon = True
            self._timer.start()

    def cancel(self) -> None:
        """Do not call it any more."""
        with self._changed:
            self._stop()

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
