"""A job: work that was handed to a session, and the handle by which it is watched, stopped and asked for its result."""

import threading
import traceback
from collections import deque
from collections.abc import Callable, Hashable, Iterator
from typing import Any

from ldm_lab.core.cancel import CancelledError, CancelToken, cancellable
from ldm_lab.core.errors import RequestError
from ldm_lab.session.events import Event, Failed, Finished, Frame, LastEvent, Stopped

Listener = Callable[[Event], Any]
Work = Callable[["Job"], Any]

CANCELLED = "the job was cancelled"
SUPERSEDED = "a newer job took its place"


class Job:
    """Made by a ``Session``.

    Its events go to the listener, if there is one, in the thread that computes; otherwise they wait for ``events``.

    Attributes:
        slot: Jobs of one slot replace each other while they wait; None: none does.
        token: Looked at between the pieces of its work.
    """

    def __init__(
        self, work: Work, *, on_worker: Callable[[], bool], slot: Hashable = None, listener: Listener | None = None
    ) -> None:
        self.slot = slot
        self.token = CancelToken()
        self._work: Work | None = work
        self._on_worker = on_worker
        self._listener = listener
        self._changed = threading.Condition()
        self._unread: deque[Event] = deque()
        self._last: LastEvent | None = None
        self._is_running = self._is_stopping = False

    @property
    def is_running(self) -> bool:
        """Whether it is being carried out."""
        return self._is_running and self._last is None

    @property
    def is_done(self) -> bool:
        """Whether it has ended, in one way or another."""
        return self._last is not None

    @property
    def is_stopping(self) -> bool:
        """Whether its walk is asked to end."""
        return self._is_stopping

    def stop(self) -> None:
        """End the walk within one step, and make what is there into a partial run; a job that waits is cancelled."""
        self._is_stopping = True
        if not self._is_running:
            self.cancel()

    def cancel(self) -> None:
        """End it within one step, or between two tiles of a decoder, and throw away what is there."""
        self.token.cancel()
        self.withdraw(CANCELLED)

    def withdraw(self, reason: str) -> None:
        """End a job that has not begun; one that has goes on."""
        with self._changed:
            if self._is_running or self.is_done:
                return
            self._is_running = True  # nobody else may begin or end it now
        self._end(Stopped(reason))

    def wait(self, timeout_sec: float | None = None) -> bool:
        """Wait for its end; whether it came in time.

        Raises:
            RequestError: If a listener or a call of the same device waits, which would be for ever.
        """
        self._refuse_to_wait()
        with self._changed:
            return self._changed.wait_for(lambda: self.is_done, timeout_sec)

    def result(self, timeout_sec: float | None = None) -> Any:
        """Wait for its end, and return the run, or of a call what its function returned.

        Raises:
            CancelledError: If it was cancelled or replaced.
            TimeoutError: If it has not ended in time.
            BaseException: What ended it, if it failed.
        """
        if not self.wait(timeout_sec):
            raise TimeoutError(f"the job has not ended within {timeout_sec} s; cancel it, or wait longer")
        match self._last:
            case Finished(value):
                return value
            case Failed(error):
                raise error
            case Stopped(reason):
                raise CancelledError(reason)

    def events(self) -> Iterator[Event]:
        """Its events as they come, each handed out once; of frames that nobody has read, only the newest.

        A job with a listener gives its last event alone.

        Raises:
            RequestError: As ``wait`` does.
        """
        self._refuse_to_wait()
        while True:
            with self._changed:
                self._changed.wait_for(lambda: bool(self._unread) or self.is_done)
                if not self._unread:
                    return
                event = self._unread.popleft()
            yield event

    def tell(self, event: Event) -> None:
        """Say what happened; called by its own work.

        Raises:
            BaseException: What the listener raises; it ends the job.
        """
        if self._listener is not None:
            self._listener(event)
        else:
            self._put(event)

    def carry_out(self) -> None:
        """Do the work in this thread, unless the job has ended already; every error becomes an event."""
        with self._changed:
            if self._is_running or self.is_done:
                return
            self._is_running = True
        self._end(self._attempt())

    def _refuse_to_wait(self) -> None:
        if not self.is_done and self._on_worker():
            raise RequestError(
                "a job was waited for in the thread that has to carry it out; take its result from its last event"
            )

    def _attempt(self) -> LastEvent:
        assert self._work is not None, "a job is carried out once"
        try:
            with cancellable(self.token):
                finished = Finished(self._work(self))
                if self._listener is not None:
                    self._listener(finished)
                return finished
        except CancelledError:
            return Stopped(CANCELLED)
        except BaseException as error:  # whatever it is, it belongs to whoever asked for the job
            return _failed(error)

    def _end(self, last: LastEvent) -> None:
        self._work = None  # and with it the model
        if self._listener is not None and not isinstance(last, Finished):
            try:
                self._listener(last)
            except BaseException as error:
                last = _failed(error, before=last)
        self._listener = None
        with self._changed:
            self._last = last
            self._put(last)

    def _put(self, event: Event) -> None:
        with self._changed:  # the lock is one that its thread may take twice
            if isinstance(event, Frame):
                self._unread = deque(other for other in self._unread if not isinstance(other, Frame))
            self._unread.append(event)
            self._changed.notify_all()


def _failed(error: BaseException, *, before: LastEvent | None = None) -> Failed:
    """The event of an error, of which no frame is kept: frames hold tensors. What failed before it stays the error."""
    details = "".join(traceback.format_exception(error))
    if isinstance(before, Failed):
        before.error.add_note(f"Its listener failed too:\n{details}")
        return before
    error.add_note(f"In the thread of the session:\n{details}")
    _forget_frames(error)
    return Failed(error, details)


def _forget_frames(error: BaseException | None) -> None:
    while error is not None:
        error.__traceback__ = None
        error = error.__cause__ or error.__context__
