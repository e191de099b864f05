"""A run: settings and what came of them, as one value that shows itself, saves itself and can be made again."""

import base64
import dataclasses
import html
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image
from torch import Tensor

from ldm_lab.core import images
from ldm_lab.core.config import to_dict
from ldm_lab.core.errors import RequestError
from ldm_lab.core.io import write_atomic, write_json
from ldm_lab.sampling import Step
from ldm_lab.tasks.picture import RunImage
from ldm_lab.tasks.provenance import Provenance
from ldm_lab.tasks.record import BranchRecord, RunRecord
from ldm_lab.tasks.settings import TaskSettings

if TYPE_CHECKING:
    from ldm_lab.tasks.branch import Branch

MIN_SHOWN_WIDTH = 400  # pixels on the screen; smaller sheets are enlarged by a whole factor


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Outcome:
    """What a task made.

    Attributes:
        images: What was asked for, in order.
        trajectory: The steps of the walk, on the CPU; a note says where they are not kept as they were computed.
        notes: What the user should know: words the model never saw, what was cut off, what differs from a record.
        stopped_after: Steps taken, if the walk was stopped before its end.
        provenance: Model, machine and versions.
        duration_sec: Time from the settings to the images.
        decode: Scaled latents (B, C, h, w) → images.
        stride: 1 if the trajectory holds all steps, otherwise every how many.
        branch: Where the run left another one, if it did; the trajectory begins with the steps of that one.
    """

    images: tuple[Image.Image, ...]
    trajectory: tuple[Step, ...]
    notes: tuple[str, ...]
    stopped_after: int | None
    provenance: Provenance
    duration_sec: float
    decode: Callable[[Tensor], list[Image.Image]]
    stride: int = 1
    branch: "Branch | None" = None


class Run:
    """Settings → images.

    A run that was opened from a file knows its settings at once; it is made again when its images, trajectory or notes
    are first asked for.

    Attributes:
        settings: All that was asked for, with nothing left open.
        recorded: Of a run opened from a file: the provenance stated there.
    """

    def __init__(
        self, settings: TaskSettings, make: Callable[[], Outcome], *, recorded: Provenance | None = None
    ) -> None:
        self.settings = settings
        self.recorded = recorded
        self._make = make

    @cached_property
    def outcome(self) -> Outcome:
        """What was made, without dress."""
        return self._make()

    @cached_property
    def images(self) -> list[RunImage]:
        """What was made; saved as PNG, each image carries this run."""
        record = to_dict(self.record)
        return [RunImage.of(image, record) for image in self.outcome.images]

    @property
    def trajectory(self) -> tuple[Step, ...]:
        """Every step of the walk, noise first."""
        return self.outcome.trajectory

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should know: words the model never saw, what was cut off, what differs from a record."""
        return self.outcome.notes

    @property
    def branch(self) -> "Branch | None":
        """Where it left another run, if it did; the trajectory begins with the steps of that one."""
        return self.outcome.branch

    @property
    def partial(self) -> bool:
        """Whether the walk was stopped before its end; the images are then the last predictions."""
        return self.outcome.stopped_after is not None

    @property
    def provenance(self) -> Provenance:
        """Model, machine and versions that made the images."""
        return self.outcome.provenance

    @property
    def record(self) -> RunRecord:
        """What recreates this run."""
        return RunRecord(
            task=self.settings.task,
            settings=self.settings,
            stopped_after=self.outcome.stopped_after,
            provenance=self.provenance,
            branch=None if self.branch is None else _record_of(self.branch),
        )

    def grid(self) -> Image.Image:
        """All images on one sheet; a single one is the sheet, without a margin."""
        return images.grid(self.images)

    def strip(self, index: int = 0, *, num_frames: int = 8) -> Image.Image:
        """How image ``index`` came out of the noise: z_0 as predicted at some steps, evenly spaced, in one row.

        Of a walk without steps, the image.
        """
        frames = [frame for _, frame in self.frames(index, num_frames=num_frames)]
        return images.strip(frames or [self.images[index]])

    def frames(self, index: int = 0, *, num_frames: int = 8) -> list[tuple[Step, Image.Image]]:
        """Some steps, evenly spaced, each with z_0 of image ``index`` as predicted there, decoded."""
        count = len(self.settings.image_names)
        if not 0 <= index < count:
            raise RequestError(f"there is no image {index}; the run has {count}, counted from 0")
        steps = _spread(self.trajectory, num_frames)
        return [(step, self.outcome.decode(step.z_0_pred[index][None])[0]) for step in steps]

    def save(self, folder: str | Path) -> Path:
        """Write images, sheet, strip of the first image, and ``run.json``; files of the same names are replaced.

        Returns:
            The folder.

        Raises:
            LdmLabError: If it cannot be written.
        """
        folder = Path(folder)
        _make_folder(folder)
        for name, picture in self._files():
            write_atomic(folder / name, _png(picture))
        more = {"notes": list(self.notes), "duration_sec": round(self.outcome.duration_sec, 3)}
        write_json(folder / "run.json", to_dict(self.record) | more)
        return folder

    def _files(self) -> Iterator[tuple[str, Image.Image]]:
        for name, image in zip(self.settings.image_names, self.images, strict=True):
            yield f"{name}.png", image
        yield "grid.png", self.grid()
        yield "strip.png", self.strip()

    def __repr__(self) -> str:
        made = ", not made again yet" if self.recorded and "outcome" not in self.__dict__ else ""
        count = len(self.settings.image_names)
        return f"Run({self.settings.title!r}, {count} image{'s' * (count > 1)}{made})"

    def _repr_png_(self) -> bytes:
        return _png(self.grid())

    def _repr_html_(self) -> str:
        """The sheet, the settings and the notes, for a notebook."""
        grid = self.grid()
        data = base64.b64encode(_png(grid)).decode()
        style = f"width:{grid.width * max(1, MIN_SHOWN_WIDTH // grid.width)}px;image-rendering:pixelated"
        rows = "".join(f"<tr><td>{name}</td><td>{_escaped(value)}</td></tr>" for name, value in self._facts().items())
        notes = "".join(f"<li>{_escaped(note)}</li>" for note in self.notes)
        alt = _escaped(self.settings.title)
        picture = f'<img src="data:image/png;base64,{data}" alt="{alt}" style="{style}"/>'
        return f"<div>{picture}<table>{rows}</table><ul>{notes}</ul></div>"

    def _facts(self) -> dict[str, Any]:
        model, environment = self.provenance.model, self.provenance.environment
        stopped = {"stopped after step": self.outcome.stopped_after} if self.partial else {}
        where = f"{model.name}, {environment.device}, {self.outcome.duration_sec:.1f} s"
        left = {"left another run": _spelled(self.branch)} if self.branch else {}
        asked = {field.name: getattr(self.settings, field.name) for field in dataclasses.fields(self.settings)}
        return {"task": self.settings.task} | asked | left | stopped | {"made by": where}


def _record_of(branch: "Branch") -> BranchRecord:
    return BranchRecord(step=branch.step, recipe=branch.recipe, parent=branch.parent.record)


def _spelled(branch: "Branch") -> str:
    edits = ", ".join(map(repr, branch.recipe.edits)) or "without an edit"
    return f"at step {branch.step}, {edits}"


def _spread(steps: tuple[Step, ...], count: int) -> list[Step]:
    """At most ``count`` steps, evenly spaced, the first and the last among them."""
    if count < 1:
        raise RequestError(f"num_frames is {count}; give at least 1")
    if not steps:
        return []
    last = len(steps) - 1
    places = {round(last * i / max(1, count - 1)) for i in range(count - 1)} | {last}
    return [steps[place] for place in sorted(places)]


def _png(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG")
    return buffer.getvalue()


def _escaped(value: Any) -> str:
    return html.escape(str(value))


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RequestError(f"cannot write to {folder}: {error.strerror}; choose another folder") from error
