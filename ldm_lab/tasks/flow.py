"""The one way from settings to images: plan, walk, decode, finish."""

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from ldm_lab.core.images import to_uint8
from ldm_lab.model import LatentDiffusion
from ldm_lab.sampling import Step
from ldm_lab.tasks.catalogue import TASKS
from ldm_lab.tasks.cost import check_cost
from ldm_lab.tasks.memory import in_batches, memory_explained
from ldm_lab.tasks.plan import Decode, Plan
from ldm_lab.tasks.provenance import Origin, provenance_of
from ldm_lab.tasks.run import Outcome, Run
from ldm_lab.tasks.settings import TaskSettings

OnStep = Callable[[Step], Any]


def stream(model: LatentDiffusion, settings: TaskSettings) -> Iterator[Step]:
    """The walk of a task, step by step; everything is checked before the first.

    Args:
        model: Of the kind that the task needs.
        settings: Of any task; ``None`` in them means the package's default.

    Raises:
        RequestError: If the model cannot serve the settings.
    """
    return _planned(model, settings.resolved(image_size=model.config.image_size)).steps


def carry_out(
    model: LatentDiffusion,
    settings: TaskSettings,
    *,
    defaults: TaskSettings | None = None,
    origin: Origin | None = None,
    on_step: OnStep | None = None,
) -> Run:
    """Make the images that settings ask for.

    Args:
        model: Of the kind that the task needs.
        settings: Of any task.
        defaults: What the model recommends where settings are None.
        origin: Name and digests of the model, for the record.
        on_step: Called with every step; if it returns False, the walk ends there and the run is partial.

    Raises:
        RequestError: If the model cannot serve the settings, or they cost too much.
        NotEnoughMemoryError: If the device cannot hold the images, even when it decodes one by one.
        NonFiniteImageError: If the model makes values that are not numbers.
    """
    begin = time.perf_counter()
    asked, settings = settings, settings.resolved(image_size=model.config.image_size, defaults=defaults)
    plan = _planned(model, settings)
    with memory_explained(
        f"to make {len(settings.image_names)} images of {settings.width} × {settings.height} at once"
    ):
        trajectory, stopped_after = _collect(plan.steps, on_step)
    decode = partial(_decode, plan.decode or model.decode, device=model.device)
    images, remarks = _finish(plan, decode(_result(plan, trajectory, stopped_after)))
    outcome = Outcome(
        images=tuple(images),
        trajectory=tuple(trajectory),
        notes=tuple(dict.fromkeys([*asked.notes_on(settings), *plan.notes, *remarks])),
        stopped_after=stopped_after,
        provenance=provenance_of(model, origin or Origin()),
        duration_sec=time.perf_counter() - begin,
        decode=lambda z: _pictures(decode(z)),
    )
    return Run(settings, lambda: outcome)


@torch.no_grad()
def _planned(model: LatentDiffusion, settings: TaskSettings) -> Plan:
    check_cost(settings)
    return TASKS[settings.task].plan(model, settings)


def _collect(steps: Iterator[Step], on_step: OnStep | None) -> tuple[list[Step], int | None]:
    """All steps, on the CPU, and how many they are if ``on_step`` stopped them."""
    trajectory: list[Step] = []
    for step in steps:
        trajectory.append(step.map(Tensor.cpu))
        if on_step is not None and on_step(step) is False:
            return trajectory, len(trajectory)
    return trajectory, None


def _result(plan: Plan, trajectory: list[Step], stopped_after: int | None) -> Tensor:
    """Where the walk ended; of one that was stopped, what it last predicted. (B, C, h, w)"""
    if not trajectory:
        return plan.z_0
    return trajectory[-1].z_next if stopped_after is None else trajectory[-1].z_0_pred


@torch.no_grad()
def _decode(decode: Decode, z: Tensor, *, device: torch.device) -> Tensor:
    """Scaled latents (B, C, h, w) → pixels on the CPU. uint8 (B, H, W, 3)"""
    return in_batches(lambda part: to_uint8(decode(part)).cpu(), z.to(device))


def _finish(plan: Plan, pixels: Tensor) -> tuple[list[Image.Image], list[str]]:
    """The images that the task keeps, and what it has to say of them."""
    pixels, remarks = (pixels, []) if plan.finish is None else plan.finish(pixels)
    return _pictures(pixels), remarks


def _pictures(pixels: Tensor) -> list[Image.Image]:
    return [Image.fromarray(image) for image in pixels.contiguous().numpy()]
