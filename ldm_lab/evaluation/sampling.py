"""Samples for evaluations: one image of every condition, many at once."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from ldm_lab.evaluation.progress import BATCH
from ldm_lab.model import LatentDiffusion
from ldm_lab.sampling import Guidance, sample_steps
from ldm_lab.tasks import Pipeline
from ldm_lab.tasks.plan import guidance_away_from, scheduler_of
from ldm_lab.tasks.settings import GuidedSettings


@torch.no_grad()
def sample_conditions(
    pipeline: Pipeline,
    conditions: Sequence[Any],
    settings: GuidedSettings,
    *,
    negative: Any = None,
    batch_size: int = BATCH,
) -> Iterator[Tensor]:
    """Make one image of each condition; that of condition i has seed i, whatever the batch size.

    Args:
        pipeline: A model of any kind.
        conditions: What its conditioner takes; None for each image of an unconditional model.
        settings: Resolved, with the size of the images; their seeds are not used.
        negative: What guidance moves away from; None: the model's null condition.
        batch_size: Images at once.

    Yields:
        Batches of images in [-1, 1], on the CPU. (B, 3, H, W)
    """
    model = pipeline.model
    scheduler = scheduler_of(model, settings)
    shape = model.latent_shape(settings.width, settings.height)
    guidance = _guidance(model, settings, negative)
    for start in range(0, len(conditions), batch_size):
        batch = conditions[start : start + batch_size]
        cond = None if model.conditioner is None else model.condition(batch)
        *_, last = sample_steps(
            model,
            cond,
            scheduler,
            num_steps=settings.num_steps,
            seeds=range(start, start + len(batch)),
            shape=shape,
            guidance=_for_each(guidance, len(batch)),
        )
        yield model.decode(last.z_next).cpu().clamp(-1, 1)


def _guidance(model: LatentDiffusion, settings: GuidedSettings, negative: Any) -> Guidance:
    """As the settings ask for; a model that knows no null condition follows its condition as it is."""
    if model.conditioner is None or not model.conditioner.has_null:
        return Guidance()
    away_from = model.condition([model.conditioner.null if negative is None else negative])
    return guidance_away_from(away_from, settings)


def _for_each(guidance: Guidance, count: int) -> Guidance:
    return guidance if guidance.negative is None else replace(guidance, negative=guidance.negative.repeat(count))
