"""What a job says while it is carried out; the last event is one of ``Finished``, ``Stopped`` and ``Failed``."""

from dataclasses import dataclass
from typing import Any

from ldm_lab.sampling import Step
from ldm_lab.tasks import TaskSettings


@dataclass(frozen=True, slots=True)
class Started:
    """The walk begins.

    Attributes:
        settings: With nothing left open; random seeds are drawn.
    """

    settings: TaskSettings


@dataclass(frozen=True, slots=True, eq=False)
class Stepped:
    """A step was taken.

    Attributes:
        step: On the CPU.
        num_done: Steps taken so far, this one included.
        num_expected: About how many there will be; second-order samplers take more.
    """

    step: Step
    num_done: int
    num_expected: int


@dataclass(frozen=True, slots=True)
class Frame:
    """A picture of what is coming: the predicted z_0 of all images on one sheet.

    Attributes:
        jpeg: A JPEG file of at most 256 pixels a side. For the eye alone; numbers come from the run.
        num_done: Steps taken when it was made.
    """

    jpeg: bytes
    num_done: int


@dataclass(frozen=True, slots=True, eq=False)
class Progressed:
    """A piece of work that is no walk was done, see ``Session.undertake``.

    Attributes:
        value: What the work says of it.
    """

    value: Any


@dataclass(frozen=True, slots=True, eq=False)
class Finished:
    """The job is done.

    Attributes:
        value: The run; of a call, what its function returned. A run that was stopped is partial.
    """

    value: Any


@dataclass(frozen=True, slots=True)
class Stopped:
    """The job was cancelled, or a newer one took its place; there is no result.

    Attributes:
        reason: One sentence.
    """

    reason: str


@dataclass(frozen=True, slots=True, eq=False)
class Failed:
    """The job ended with an error.

    Attributes:
        error: Its message is one sentence. It holds no frames, so that keeping it keeps no tensor alive.
        details: The traceback as text.
    """

    error: BaseException
    details: str


Event = Started | Stepped | Frame | Progressed | Finished | Stopped | Failed
LastEvent = Finished | Stopped | Failed
