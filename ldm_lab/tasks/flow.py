"""The one way from settings to images: plan, walk, decode, finish."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from ldm_lab.core.errors import RequestError
from ldm_lab.core.images import to_uint8
from ldm_lab.model import LatentDiffusion
from ldm_lab.sampling import Step
from ldm_lab.tasks.branch import Branch, branch_off
from ldm_lab.tasks.catalogue import TASKS
from ldm_lab.tasks.cost import check_cost
from ldm_lab.tasks.memory import in_batches, memory_explained
from ldm_lab.tasks.plan import Decode, Plan
from ldm_lab.tasks.provenance import Origin, provenance_of
from ldm_lab.tasks.run import Outcome, Run
from ldm_lab.tasks.settings import TaskSettings
from ldm_lab.tasks.trajectory import MAX_TRAJECTORY_BYTES, TrajectoryRecorder

OnStep = Callable[[Step], Any]


def stream(model: LatentDiffusion, settings: TaskSettings) -> Iterator[Step]:
    """The walk of a task, step by step; everything is checked before the first.

    Args:
        model: Of the kind that the task needs.
        settings: Of any task; ``None`` in them means the package's default.

    Raises:
        RequestError: If the model cannot serve the settings.
    """
    with torch.no_grad():
        return _planned(model, settings.resolved(image_size=model.config.image_size)).begin()


def carry_out(
    model: LatentDiffusion,
    settings: TaskSettings,
    *,
    defaults: TaskSettings | None = None,
    origin: Origin | None = None,
    branch: Branch | None = None,
    on_step: OnStep | None = None,
) -> Run:
    """Make the images that settings ask for.

    Args:
        model: Of the kind that the task needs.
        settings: Of any task.
        defaults: What the model recommends where settings are None.
        origin: Name and digests of the model, for the record.
        branch: Where to leave another run; the walk is taken from there. None: from its beginning.
        on_step: Called with every step, on the CPU; if it returns False, the walk ends there and the run is partial.

    Raises:
        RequestError: If the model cannot serve the settings, or they cost too much.
        NotEnoughMemoryError: If the device cannot hold the images, even when it decodes one by one.
        NonFiniteImageError: If the model makes values that are not numbers.
    """
    return prepare(model, settings, defaults=defaults, origin=origin, branch=branch).carry_out(on_step=on_step)


def prepare(
    model: LatentDiffusion,
    settings: TaskSettings,
    *,
    defaults: TaskSettings | None = None,
    origin: Origin | None = None,
    branch: Branch | None = None,
) -> "Undertaking":
    """All of ``carry_out`` that comes before the first step: settings are resolved, everything is checked.

    Raises:
        RequestError: If the model cannot serve the settings, or they cost too much.
    """
    begin = time.perf_counter()
    origin = origin or Origin()
    resolved = settings.resolved(image_size=model.config.image_size, defaults=defaults)
    with torch.no_grad():
        plan = _planned(model, resolved) if branch is None else _left(model, resolved, branch, origin)
        steps = plan.begin()
    return Undertaking(
        model=model,
        settings=resolved,
        plan=plan,
        steps=steps,
        branch=branch,
        origin=origin,
        notes=tuple(settings.notes_on(resolved)),
        begin=begin,
    )


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Undertaking:
    """A task that is ready to be carried out, once.

    Attributes:
        model: The networks.
        settings: Resolved.
        plan: What is done.
        steps: The walk, which has not begun.
        branch: Where it leaves another run.
        origin: Name and digests of the model.
        notes: What is to be said of how the settings were resolved.
        begin: When it was asked for, by ``time.perf_counter``.
    """

    model: LatentDiffusion
    settings: TaskSettings
    plan: Plan
    steps: Iterator[Step]
    branch: Branch | None
    origin: Origin
    notes: tuple[str, ...]
    begin: float

    def carry_out(self, *, on_step: OnStep | None = None, trajectory_bytes: int = MAX_TRAJECTORY_BYTES) -> Run:
        """Walk, decode, finish; see ``carry_out``.

        Args:
            on_step: Called with every step, on the CPU; if it returns False, the walk ends there.
            trajectory_bytes: Beyond it the trajectory is kept in 16 bits, and then not every step of it.
        """
        settings, recorder = self.settings, TrajectoryRecorder(max_bytes=trajectory_bytes)
        with memory_explained(
            f"to make {len(settings.image_names)} images of {settings.width} × {settings.height} at once"
        ):
            is_whole = self._walk(recorder, on_step)
        images, remarks = _finish(self.plan, self._to_pixels(self._result(recorder.last, is_whole)))
        shared = () if self.branch is None else self.branch.shared
        trajectory = (*shared, *recorder.steps)
        outcome = Outcome(
            images=tuple(images),
            trajectory=trajectory,
            notes=tuple(dict.fromkeys([*self.notes, *self.plan.notes, *recorder.notes, *remarks])),
            stopped_after=None if is_whole else len(shared) + recorder.num_steps,
            provenance=provenance_of(self.model, self.origin),
            duration_sec=time.perf_counter() - self.begin,
            decode=self.decode,
            stride=recorder.stride,
            branch=self.branch,
        )
        return Run(settings, lambda: outcome)

    @property
    def decode(self) -> Callable[[Tensor], list[Image.Image]]:
        """Latents of this task (B, C, h, w) → images; it holds the model, and nothing of the walk."""
        to_pixels = self._to_pixels
        return lambda z: _pictures(to_pixels(z))

    @property
    def _to_pixels(self) -> Callable[[Tensor], Tensor]:
        """Latents (B, C, h, w) → pixels on the CPU. uint8 (B, H, W, 3)"""
        return partial(_decode, self.plan.decode or self.model.decode, device=self.model.device)

    def _walk(self, recorder: TrajectoryRecorder, on_step: OnStep | None) -> bool:
        """Keep all steps, until ``on_step`` stops them; whether it did not."""
        while (step := self._next()) is not None:
            kept = recorder.add(step)
            if on_step is not None and on_step(kept) is False:
                return False
        return True

    def _next(self) -> Step | None:
        with torch.inference_mode(mode=not self.plan.needs_gradients):
            return next(self.steps, None)

    def _result(self, last: Step | None, is_whole: bool) -> Tensor:
        """Where the walk ended; of one that was stopped, what it last predicted. (B, C, h, w)"""
        if last is None:
            return self.plan.z_0
        return last.z_next if is_whole else last.z_0_pred


def _planned(model: LatentDiffusion, settings: TaskSettings) -> Plan:
    check_cost(settings)
    return TASKS[settings.task].plan(model, settings)


def _left(model: LatentDiffusion, settings: TaskSettings, branch: Branch, origin: Origin) -> Plan:
    made_by = branch.parent.provenance.model
    if made_by.digest != origin.digest:
        raise RequestError(
            f"the run was made by {made_by.name!r:.80} with digest {made_by.digest[:12] or 'none'}, and this is "
            f"{origin.name!r:.80} with digest {origin.digest[:12] or 'none'}; leave a run with the model that made it"
        )
    return branch_off(model, settings, branch, _planned)


def _decode(decode: Decode, z: Tensor, *, device: torch.device) -> Tensor:
    with torch.inference_mode():
        pixels = in_batches(lambda part: to_uint8(decode(part)).cpu(), z.to(device))
    return pixels.clone()  # outside of the inference mode, so that it may be used in any way


def _finish(plan: Plan, pixels: Tensor) -> tuple[list[Image.Image], list[str]]:
    """The images that the task keeps, and what it has to say of them."""
    pixels, remarks = (pixels, []) if plan.finish is None else plan.finish(pixels)
    return _pictures(pixels), remarks


def _pictures(pixels: Tensor) -> list[Image.Image]:
    return [Image.fromarray(image) for image in pixels.contiguous().numpy()]
