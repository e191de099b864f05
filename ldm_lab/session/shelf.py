"""Sessions of other models beside one's own, for what compares models."""

import threading

from ldm_lab.api import load
from ldm_lab.core.errors import RequestError
from ldm_lab.session.session import Session


class ModelShelf:
    """Each model is loaded when it is first asked for, onto the device of one's own, and stays until the shelf closes.

    Sessions of one device share their thread, so that here, too, never two models compute at once.
    """

    def __init__(self, own: Session) -> None:
        self._own = own
        self._others: dict[str, Session] | None = {}
        self._lock = threading.Lock()

    def session_of(self, name: str | None) -> Session:
        """The session of a model; it may take a while, so ask in the thread that computes.

        Args:
            name: What ``lab.load`` takes; None, or the name of one's own: that one.

        Raises:
            CheckpointError: If there is no such model, or it is damaged.
            RequestError: If the shelf is closed.
        """
        if name is None or name == self._own.name:
            return self._own
        with self._lock:
            if self._others is None:
                raise RequestError(f"the shelf is closed, so that {name!r:.80} is not opened; open the panel again")
            if name not in self._others:
                self._others[name] = Session(load(name, device=str(self._own.model.device)))
            return self._others[name]

    def close(self) -> None:
        """Close all sessions but one's own."""
        with self._lock:
            others, self._others = self._others or {}, None
        for session in others.values():  # without the lock: the thread that computes may wait for it
            session.close()
