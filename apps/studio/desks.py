"""What the page remembers of each visitor: the run of each tab, and the job under way. Nobody sees another's desk."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from torch import Tensor

from ldm_lab.core.errors import RequestError
from ldm_lab.probes import WordAttention
from ldm_lab.session import Job
from ldm_lab.tasks import Run

MAX_DESKS = 100
KEPT_SEC = 3600.0


@dataclass(slots=True, eq=False)
class Latent:
    """A latent under the lens.

    Attributes:
        z: As it is now, edited. (1, C, h, w)
        before: As it was. (1, C, h, w)
        model: Whose latent it is.
        run: The run that it comes from; None: from a picture.
        words: Where that run looked for each word, once it is known.
        cell: Row and column that are looked at.
    """

    z: Tensor
    before: Tensor
    model: str
    run: Run | None = None
    words: WordAttention | None = None
    cell: tuple[int, int] | None = None


@dataclass(slots=True, eq=False)
class Desk:
    """One visitor's things.

    Attributes:
        runs: The last run of each tab.
        models: Which model made it.
        latent: What the tab Latents looks at.
        jobs: What is carried out or waits, of each tab.
        stopped: Tabs whose work of several jobs shall not go on.
        used_sec: When it was last asked for.
    """

    runs: dict[str, Run] = field(default_factory=dict)
    models: dict[str, str] = field(default_factory=dict)
    latent: "Latent | None" = None
    jobs: dict[str, Job] = field(default_factory=dict)
    stopped: set[str] = field(default_factory=set)
    used_sec: float = 0.0

    def last_run(self, tab: str) -> Run:
        """The last run of a tab.

        Raises:
            RequestError: If there is none, or it has been cleared.
        """
        if tab not in self.runs:
            raise RequestError(f"there is no image yet; make one in the tab {tab.capitalize()}")
        return self.runs[tab]

    def stop(self, tab: str) -> None:
        """End the walk of a tab within one step, and keep what is there."""
        job = self.jobs.get(tab)
        if job is not None:
            job.stop()

    def clear(self) -> None:
        """Cancel everything, and forget it."""
        self.stopped.update(self.jobs)
        for job in list(self.jobs.values()):
            job.cancel()
        self.runs.clear()
        self.models.clear()
        self.latent = None


class Desks:
    """The desks, by the page's session; the ones that were used longest ago go first."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._desks: OrderedDict[str, Desk] = OrderedDict()
        self._clock = clock
        self._lock = threading.Lock()

    def of(self, visitor: str | None) -> Desk:
        """The desk of a visitor, a new one if there is none."""
        with self._lock:
            desk = self._desks.pop(visitor or "", None) or Desk()
            desk.used_sec = self._clock()
            self._desks[visitor or ""] = desk
        self.sweep()
        return desk

    def drop(self, visitor: str | None) -> None:
        """Clear the desk of a visitor who has left."""
        with self._lock:
            desk = self._desks.pop(visitor or "", None)
        if desk is not None:
            desk.clear()

    def sweep(self) -> None:
        """Clear the desks that nobody has used for an hour."""
        with self._lock:
            old = self._outdated()
        for desk in old:
            desk.clear()

    def __len__(self) -> int:
        return len(self._desks)

    def _outdated(self) -> list[Desk]:
        """Take out those that nobody has used for an hour, and the oldest of too many."""
        limit = self._clock() - KEPT_SEC
        names = [name for name, desk in self._desks.items() if desk.used_sec < limit]
        beyond = len(self._desks) - len(names) - MAX_DESKS
        names += [name for name in self._desks if name not in names][: max(0, beyond)]
        return [self._desks.pop(name) for name in names]
