"""Guidance at a step of a run that was made before: both predictions, and what a scale makes of them."""

from dataclasses import dataclass

import torch
from PIL import Image
from torch import Tensor

from ldm_lab.conditioning import Conditioning
from ldm_lab.core.errors import RequestError
from ldm_lab.core.images import to_pil
from ldm_lab.probes.guidance import GuidanceStep, clipped_share, decompose_guidance
from ldm_lab.sampling import ConditionSchedule, Guidance
from ldm_lab.tasks import Pipeline, Run, task_named

PIXEL_LIMIT = 1.1  # white grounds come out a little beyond 1, and nobody sees it


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class GuidedViews:
    """What one image of a step states, and what guidance makes of it.

    Attributes:
        negative: Decoded z_0 under the negative condition.
        positive: The same under the condition.
        guided: The same under guidance of a scale.
        difference: Root mean square over channels of the difference between both eps. (h, w)
        clipped_latent: Share of the guided z_0 that lies where latents hardly ever are, see ``PRIOR_LIMIT``.
        clipped_pixels: Share of the guided picture's values clearly beyond black and white, see ``PIXEL_LIMIT``.
    """

    negative: Image.Image
    positive: Image.Image
    guided: Image.Image
    difference: Tensor
    clipped_latent: float
    clipped_pixels: float


@torch.no_grad()
def take_apart(pipeline: Pipeline, run: Run, place: int) -> GuidanceStep:
    """Take a step of a run apart, at the cost of two evaluations in one batch.

    Args:
        pipeline: That made it.
        run: Of a task that follows a condition.
        place: In the run's trajectory, counted from 0.

    Raises:
        RequestError: If there is no such step, or the run follows no condition.
    """
    steps = run.trajectory
    if not 0 <= place < len(steps):
        raise RequestError(f"there is no step {place}; the run was kept with {len(steps)}, counted from 0")
    walk = task_named(run.settings.task).plan(pipeline.model, run.settings).walk
    guidance = None if walk is None else walk.guidance
    if walk is None or walk.cond is None or not isinstance(guidance, Guidance) or guidance.negative is None:
        raise RequestError(
            f"a run of {run.settings.task} has no guidance to take apart; make one from a sentence or a class"
        )
    timesteps = torch.tensor([step.t for step in steps])
    return decompose_guidance(pipeline.model, steps[place], _cond_at(walk.cond, timesteps, place), guidance.negative)


@torch.no_grad()
def view_guidance(
    pipeline: Pipeline, apart: GuidanceStep, *, scale: float, rescale: float = 0.0, image: int = 0
) -> GuidedViews:
    """Decode what one image of a step states without and with guidance.

    Args:
        pipeline: That made it.
        apart: From ``take_apart``.
        scale: Of guidance, whatever it was in the run.
        rescale: See ``ldm_lab.sampling.guide``.
        image: Which of the batch.
    """
    latents = [apart.z_0(scale=0.0), apart.z_0(scale=1.0), apart.z_0(scale=scale, rescale=rescale)]
    z_0 = torch.stack([z[image] for z in latents])  # (3, C, h, w)
    x = pipeline.model.decode(z_0)
    negative, positive, guided = to_pil(x)
    return GuidedViews(
        negative=negative,
        positive=positive,
        guided=guided,
        difference=apart.difference()[image].square().mean(0).sqrt(),
        clipped_latent=clipped_share(z_0[2:]).item(),
        clipped_pixels=clipped_share(x[2:], limit=PIXEL_LIMIT).item(),
    )


def _cond_at(cond: Conditioning | ConditionSchedule, timesteps: Tensor, place: int) -> Conditioning:
    if isinstance(cond, Conditioning):
        return cond
    return cond.conditions[cond.places(timesteps)[place]]
