"""From the events of a job, which come in the thread that computes, to the traits of views."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ldm_lab.sampling import Step
from ldm_lab.session import Event, Failed, Finished, Frame, Started, Stepped, Stopped
from ldm_lab.session.job import SUPERSEDED
from ldm_lab.tasks import Run, TaskSettings
from ldm_lab.widgets.status_line import StatusLine


def _ignore(*_: Any) -> None:
    """What happens where nobody asked."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Watch:
    """The listener of a job: tells its status line how it goes, and its owner what comes.

    It is called in the thread that computes, so what it calls must be quick, must not wait for a job, and touches
    nothing of a notebook but traits and deliveries; an ``Output`` widget loses what other threads print.

    Attributes:
        status: Where progress and errors are said.
        on_start: Gets the settings, with nothing left open.
        on_step: Gets every step.
        on_frame: Gets the JPEG of every frame; ``FrameView.paint`` takes it.
        on_value: Gets the run, or what a call returned.
        on_error: Gets what ended the job, after the status line has said it.
        on_end: Called last, whatever happened.
    """

    status: StatusLine
    on_start: Callable[[TaskSettings], Any] = _ignore
    on_step: Callable[[Step], Any] = _ignore
    on_frame: Callable[[bytes], Any] = _ignore
    on_value: Callable[[Any], Any] = _ignore
    on_error: Callable[[BaseException], Any] = _ignore
    on_end: Callable[[], Any] = _ignore

    def __call__(self, event: Event) -> None:
        """Take an event."""
        match event:
            case Started(settings):
                self.status.say("The walk begins …", kind="busy")
                self.on_start(settings)
            case Stepped(step, done, expected):
                self.status.say(f"Step {done} of {expected}", kind="busy", done=done, expected=expected)
                self.on_step(step)
            case Frame(jpeg):
                self.on_frame(jpeg)
            case _:
                self._take_last(event)

    def _take_last(self, event: Event) -> None:
        try:
            match event:
                case Finished(value):
                    if isinstance(value, Run):
                        self.status.say(_summary(value), kind="warning" if value.partial else "done")
                    self.on_value(value)
                case Stopped(reason) if reason != SUPERSEDED:  # of the newer job there is more to say
                    self.status.say(f"{reason[0].upper()}{reason[1:]}.", kind="idle")
                case Failed(error, details):
                    self.status.complain(error, details=details)
                    self.on_error(error)
        finally:
            self.on_end()


def _summary(run: Run) -> str:
    count = len(run.images)
    made = f"{count} image{'s' * (count != 1)} in {run.outcome.duration_sec:.1f} s"
    if run.partial:
        made = f"Stopped after step {run.outcome.stopped_after}: the last predictions, {made}"
    return ". ".join([made, *run.notes])
