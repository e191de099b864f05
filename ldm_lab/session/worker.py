"""One thread a device: all sessions of a device hand their jobs to it, so that no two models compute at once."""

import atexit
import threading
from collections import deque

import torch

from ldm_lab.session.job import SUPERSEDED, Job


class Worker:
    """Carries jobs out, one after the other, in the order in which they came.

    A job of a slot takes the place of the one that waits there. Calls do not stand in line: a running job lets them
    in between two of its steps.
    """

    def __init__(self, name: str) -> None:
        self._changed = threading.Condition()
        self._jobs: deque[Job] = deque()
        self._calls: deque[Job] = deque()
        self._running: Job | None = None
        self._is_ending = False
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    def is_current(self) -> bool:
        """Whether it is asked in the worker's own thread."""
        return threading.current_thread() is self._thread

    @property
    def is_alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    def submit(self, job: Job) -> None:
        """Put a job in line; with a slot, in the place of the one that waits in it."""
        with self._changed:
            rivals = [other for other in self._jobs if job.slot is not None and other.slot == job.slot]
            if rivals:
                self._jobs[self._jobs.index(rivals[0])] = job
            else:
                self._jobs.append(job)
            self._changed.notify_all()
        for rival in rivals:
            rival.withdraw(SUPERSEDED)

    def call(self, job: Job) -> None:
        """Carry a job out before the next step of the running one; from a listener or another call, at once."""
        if self.is_current():
            job.carry_out()
            return
        with self._changed:
            self._calls.append(job)
            self._changed.notify_all()

    def serve_calls(self) -> None:
        """Carry out the calls that wait; a job's work calls it between its steps."""
        while True:
            with self._changed:
                if not self._calls:
                    return
                call = self._calls.popleft()
            call.carry_out()

    def end(self) -> None:
        """Let the thread end after the job that it is at, and wait for that, unless this is the thread."""
        with self._changed:
            self._is_ending = True
            self._changed.notify_all()
        if not self.is_current():
            self._thread.join()

    def abandon(self) -> None:
        """Cancel all jobs, and let the thread end."""
        with self._changed:
            jobs = [*self._calls, *self._jobs, *filter(None, [self._running])]
        for job in jobs:
            job.cancel()
        self.end()

    def _work(self) -> None:
        while self._carry_out_next():
            pass

    def _carry_out_next(self) -> bool:
        """A frame of its own for every job, so that a thread that waits holds none."""
        with self._changed:
            self._changed.wait_for(lambda: self._calls or self._jobs or self._is_ending)
            if not self._calls and not self._jobs:
                return False
            job = self._running = (self._calls or self._jobs).popleft()
        job.carry_out()
        self._running = None
        return True


_workers: dict[str, tuple[Worker, int]] = {}  # by device, with the number of sessions that use it
_workers_changed = threading.Lock()


def hire(device: torch.device) -> Worker:
    """The worker of a device, which is started if it has none; ``release`` gives it back."""
    with _workers_changed:
        worker, users = _workers.get(str(device), (None, 0))
        worker = worker or Worker(f"ldm_lab session on {device}")
        _workers[str(device)] = (worker, users + 1)
        return worker


def release(worker: Worker) -> None:
    """Give a worker back; when nobody uses it any more, its thread ends."""
    with _workers_changed:
        name = next(name for name, (other, _) in _workers.items() if other is worker)
        users = _workers.pop(name)[1] - 1
        if users > 0:
            _workers[name] = (worker, users)
    if users == 0:
        worker.end()


@atexit.register
def _abandon_all() -> None:
    """A thread that computes while Python shuts down may crash it."""
    for worker, _ in list(_workers.values()):
        worker.abandon()
