"""A session: one loaded model, and everything that panels, the web page and scripts want of it, one after the other."""

import dataclasses
import threading
from collections.abc import Callable, Hashable, Iterator, Sequence
from functools import partial
from itertools import count
from typing import Any, Literal, Self, get_args
from weakref import WeakSet

from PIL import Image
from torch import Tensor

from ldm_lab.core.errors import RequestError
from ldm_lab.core.images import Picture
from ldm_lab.sampling import Step
from ldm_lab.session.events import Event, Failed, Frame, Started, Stepped
from ldm_lab.session.job import Job, Listener, Work
from ldm_lab.session.preview import FrameBudget, draw_latents, encode_frame
from ldm_lab.session.worker import Worker, hire, release
from ldm_lab.tasks import MAX_TRAJECTORY_BYTES, Branch, Pipeline, Run, TaskSettings, Undertaking

FRAMES_PER_SECOND = 10.0

Preview = Literal["linear", "decoded", "none"]
Decode = Callable[[Tensor], list[Image.Image]]


class Session:
    """A model and the thread that computes with it.

    What is submitted returns at once: a ``Job`` says how it goes. Sessions of one device share its thread, so that
    never two models compute at once; nothing but that thread touches the model. Use it as a context manager, or close
    it.

    Attributes:
        name: What the model is called.
        trajectory_bytes: Budget of a run's trajectory; beyond it a note says how it was kept.
        frames_per_second: At most so many previews are made.

    Raises:
        RequestError: If a number is not above 0.
    """

    def __init__(
        self,
        model: Pipeline,
        *,
        trajectory_bytes: int = MAX_TRAJECTORY_BYTES,
        frames_per_second: float = FRAMES_PER_SECOND,
    ) -> None:
        if not (trajectory_bytes > 0 and frames_per_second > 0):
            raise RequestError(
                f"trajectory_bytes is {trajectory_bytes}, frames_per_second {frames_per_second}; both must be above 0"
            )
        self.name = model.name
        self.trajectory_bytes = trajectory_bytes
        self.frames_per_second = frames_per_second
        self._model: Pipeline | None = model
        self._worker: Worker = hire(model.device)
        self._lock = threading.RLock()  # of what follows
        self._jobs: WeakSet[Job] = WeakSet()
        self._loans: WeakSet[_Loan] = WeakSet()

    @property
    def model(self) -> Pipeline:
        """What it computes with; use it inside of ``call`` only.

        Raises:
            RequestError: If the session is closed.
        """
        if self._model is None:
            raise RequestError(f"the session of {self.name!r} is closed; open another one: Session(model)")
        return self._model

    @property
    def is_closed(self) -> bool:
        """Whether it has let go of the model."""
        return self._model is None

    def submit(
        self,
        settings: TaskSettings,
        *,
        branch: Branch | None = None,
        slot: Hashable = None,
        preview: Preview = "linear",
        listener: Listener | None = None,
    ) -> Job:
        """Ask for a run, and return at once.

        Args:
            settings: Of any task that the model serves.
            branch: Where to leave another run; None: the walk is taken from its beginning.
            slot: For sliders: of the jobs of a slot, which any value names, only the newest waits; the one that is
                carried out goes on. None: the job is carried out in its turn.
            preview: What frames show: predicted z_0 by the linear preview, by the decoder, or nothing.
            listener: Gets every event, in the thread that computes; it must be quick, and must not wait for a job.
                What it raises ends the job. None: events wait for ``Job.events``.

        Raises:
            RequestError: If the session is closed. What is wrong with the settings is said by ``Failed``.
        """
        work = partial(self._sample, settings=settings, branch=branch, preview=preview)
        job = self._job(work, slot=slot, listener=listener)
        self._worker.submit(job)
        return job

    def stream(
        self, settings: TaskSettings, *, branch: Branch | None = None, preview: Preview = "linear"
    ) -> Iterator[Event]:
        """Carry a task out and yield its events as they come; to close the generator ends the work within one step.

        Of frames, only the newest waits to be read. Arguments are as for ``submit``.

        Raises:
            LdmLabError: What ends the job.
        """
        job = self.submit(settings, branch=branch, preview=preview)
        try:
            for event in job.events():
                if isinstance(event, Failed):
                    raise event.error
                yield event
        finally:
            job.cancel()
            job.wait()

    def call(self, function: Callable[[Pipeline], Any], *, listener: Listener | None = None) -> Job:
        """Use the model: ``function(model)`` is called in the thread that computes, between two steps of a running job.

        Raises:
            RequestError: If the session is closed.
        """
        job = self._job(lambda job: function(self.model), listener=listener)
        self._worker.call(job)
        return job

    def undertake(self, work: Callable[[Job, Callable[[], None]], Any], *, listener: Listener | None = None) -> Job:
        """Hand over long work that is no walk, such as training; it is carried out in its turn.

        ``work(job, let_in)`` tells of its pieces by ``job.tell``, calls ``let_in()`` between them, where calls of
        others are carried out, and ends early where ``job.is_stopping``.

        Raises:
            RequestError: If the session is closed.
        """
        job = self._job(lambda job: work(job, self._worker.serve_calls), listener=listener)
        self._worker.submit(job)
        return job

    def decode(self, z: Tensor) -> list[Image.Image]:
        """Scaled latents (B, C, h, w) → images, by the decoder; waits for a turn between two steps."""
        return self.call(lambda model: model.decode(z)).result()

    def encode(self, images: Picture | Sequence[Image.Image]) -> Tensor:
        """RGB images of one size → the most likely scaled latents (B, C, h, w), on the CPU; waits as ``decode``."""
        return self.call(lambda model: model.encode(images).cpu()).result()

    def draw(self, z: Tensor) -> list[Image.Image]:
        """Scaled latents (B, C, h, w) → pictures of h × w pixels, by the linear preview; no network is asked."""
        return self.call(lambda model: draw_latents(model.model, z)).result()

    def close(self) -> None:
        """Cancel all jobs, wait for the one that is carried out, and let go of the model and of the thread."""
        with self._lock:
            if self._model is None:
                return
            self._model = None
            jobs, loans = list(self._jobs), list(self._loans)
        for job in jobs:
            job.cancel()
        for job in jobs:
            if not self._worker.is_current():
                job.wait()
        for loan in loans:
            loan.end()
        release(self._worker)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __repr__(self) -> str:
        with self._lock:
            waiting = sum(not job.is_done for job in self._jobs)
        state = "closed" if self.is_closed else f"{waiting} job{'s' * (waiting != 1)}"
        return f"Session({self.name!r}, {state})"

    def _job(self, work: Work, *, slot: Hashable = None, listener: Listener | None = None) -> Job:
        own_slot = None if slot is None else (id(self), slot)
        job = Job(work, on_worker=self._worker.is_current, slot=own_slot, listener=listener)
        with self._lock:
            _ = self.model  # a closed session takes none
            self._jobs.add(job)
        return job

    def _sample(self, job: Job, *, settings: TaskSettings, branch: Branch | None, preview: Preview) -> Run:
        """The work of a job that asks for a run."""
        model = self.model
        undertaking = model.prepare(settings, branch=branch)
        job.tell(Started(undertaking.settings))
        budget, draw = FrameBudget(per_second=self.frames_per_second), _drawing(undertaking, preview)
        taken, expected = count(1 if branch is None else branch.step + 1), undertaking.settings.length

        def on_step(step: Step) -> bool:
            num_done = next(taken)
            job.tell(Stepped(step, num_done, max(num_done, expected)))
            if draw is not None and budget.spend():
                job.tell(Frame(draw(step.z_0_pred), num_done))
            self._worker.serve_calls()
            return not job.is_stopping

        return self._lent(undertaking.carry_out(on_step=on_step, trajectory_bytes=self.trajectory_bytes))

    def _lent(self, run: Run) -> Run:
        """The same run, which decodes through the session, as long as that is open."""
        loan = _Loan(self, run.outcome.decode)
        with self._lock:
            self._loans.add(loan)
        outcome = dataclasses.replace(run.outcome, decode=loan)
        return Run(run.settings, lambda: outcome)


class _Loan:
    """A decoder lent to a run, and taken back when the session is closed."""

    def __init__(self, session: Session, decode: Decode) -> None:
        self._session = session
        self._decode: Decode | None = decode

    def __call__(self, z: Tensor) -> list[Image.Image]:
        decode = self._decode
        if decode is None:
            raise RequestError(
                f"the session of {self._session.name!r} that made this run is closed, and with it the decoder; "
                "carry its settings out again in another session"
            )
        return self._session.call(lambda _: decode(z)).result()

    def end(self) -> None:
        """Take it back."""
        self._decode = None


def _drawing(undertaking: Undertaking, preview: Preview) -> Callable[[Tensor], bytes] | None:
    """What makes the frames of predicted z_0 (B, C, h, w).

    Raises:
        RequestError: If there is no such preview.
    """
    model, scale = undertaking.model, undertaking.plan.latent_scale
    factor = model.config.autoencoder.downsampling_factor
    match preview:
        case "linear":
            return lambda z_0: encode_frame(draw_latents(model, z_0 / scale), factor=factor)
        case "decoded":
            return lambda z_0: encode_frame(undertaking.decode(z_0))
        case "none":
            return None
    raise RequestError(f"preview is {preview!r:.40}; choose one of {', '.join(get_args(Preview))}")
