"""The one way from settings to images: plan, walk, decode, finish."""

import dataclasses
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from ldm_lab.core.images import to_pil
from ldm_lab.model import LatentDiffusion
from ldm_lab.sampling import Step, make_scheduler, sample_steps
from ldm_lab.tasks.catalogue import TASKS
from ldm_lab.tasks.plan import Plan
from ldm_lab.tasks.provenance import Origin, provenance_of
from ldm_lab.tasks.run import Outcome, Run
from ldm_lab.tasks.settings import TaskSettings

DECODE_BATCH = 8  # images decoded at once, because at the full resolution memory is largest

OnStep = Callable[[Step], Any]


@torch.no_grad()
def stream(model: LatentDiffusion, settings: TaskSettings) -> Iterator[Step]:
    """The walk of a task, step by step; everything is checked before the first.

    Args:
        model: Of the kind that the task needs.
        settings: Of any task; ``None`` in them means the package's default.

    Raises:
        RequestError: If the model cannot serve the settings.
    """
    settings = settings.resolved(image_size=model.config.image_size)
    return _walk(model, settings, TASKS[settings.task].plan(model, settings))


@torch.no_grad()
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
        RequestError: If the model cannot serve the settings.
        NonFiniteImageError: If the model makes values that are not numbers.
    """
    begin = time.perf_counter()
    asked, settings = settings, settings.resolved(image_size=model.config.image_size, defaults=defaults)
    plan = TASKS[settings.task].plan(model, settings)
    trajectory, stopped_after = _collect(_walk(model, settings, plan), on_step)
    last = trajectory[-1]
    images, remarks = _finish(model, plan, last.z_next if stopped_after is None else last.z_0_pred)
    outcome = Outcome(
        images=tuple(images),
        trajectory=tuple(trajectory),
        notes=tuple(dict.fromkeys([*asked.notes_on(settings), *plan.notes, *remarks])),
        stopped_after=stopped_after,
        provenance=provenance_of(model, origin or Origin()),
        duration_sec=time.perf_counter() - begin,
        decode=lambda z: to_pil(_decode(model, z)),
    )
    return Run(settings, lambda: outcome)


def _walk(model: LatentDiffusion, settings: TaskSettings, plan: Plan) -> Iterator[Step]:
    return sample_steps(
        model,
        plan.cond,
        make_scheduler(settings.sampler, model.config.schedule, model.prediction),
        num_steps=settings.num_steps,
        seeds=settings.seeds,
        shape=plan.shape,
        guidance=plan.guidance,
    )


def _collect(steps: Iterator[Step], on_step: OnStep | None) -> tuple[list[Step], int | None]:
    """All steps, on the CPU, and how many they are if ``on_step`` stopped them."""
    trajectory: list[Step] = []
    for step in steps:
        trajectory.append(_on_cpu(step))
        if on_step is not None and on_step(step) is False:
            return trajectory, len(trajectory)
    return trajectory, None


def _on_cpu(step: Step) -> Step:
    tensors = {name: getattr(step, name).cpu() for name in ("z_t", "z_0_pred", "noise_pred", "z_next")}
    return dataclasses.replace(step, **tensors)


@torch.no_grad()
def _decode(model: LatentDiffusion, z: Tensor) -> Tensor:
    """Scaled latents (B, C, h, w) → images on the CPU. (B, 3, H, W)"""
    return torch.cat([model.decode(part).cpu() for part in z.to(model.device).split(DECODE_BATCH)])


def _finish(model: LatentDiffusion, plan: Plan, z: Tensor) -> tuple[list[Image.Image], list[str]]:
    """The images that the task keeps, and what it has to say of them."""
    x = _decode(model, z)
    x, remarks = (x, []) if plan.finish is None else plan.finish(x)
    return to_pil(x), remarks
