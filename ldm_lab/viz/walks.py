"""A walk as frames, one for each step: what it predicted, where it stood, what it took for noise, how far it went."""

from collections.abc import Callable, Sequence

import torch
from PIL import Image
from torch import Tensor

from ldm_lab.core.errors import RequestError
from ldm_lab.sampling import Step
from ldm_lab.viz.colors import SEQUENTIAL, paint

Draw = Callable[[Tensor], list[Image.Image]]
PREDICTED, NOISY, NOISE, DISTANCE = "predicted z_0", "z_t", "predicted noise", "|Δz|"


def walk_frames(steps: Sequence[Step], draw: Draw, *, image: int = 0) -> dict[str, list[Image.Image]]:
    """Frames of one image of the batch by what they show, for every step.

    The distance |z_next - z_t|, mean over the channels, has one scale of colours for the whole walk.

    Args:
        steps: Such as ``run.trajectory``.
        draw: Scaled latents (B, C, h, w) → pictures, such as ``session.draw`` or a decoder.
        image: Counted from 0.

    Raises:
        RequestError: If there is no step, or no such image.
    """
    if not steps or not 0 <= image < len(steps[0].z_t):
        raise RequestError(f"image {image} of a walk of {len(steps)} steps cannot be drawn; choose another")
    distance = _stacked([step.z_next[image].float() - step.z_t[image].float() for step in steps]).abs().mean(1)
    most = max(distance.max().item(), 1e-12)
    return {
        PREDICTED: draw(_stacked([step.z_0_pred[image] for step in steps])),
        NOISY: draw(_stacked([step.z_t[image] for step in steps])),
        NOISE: draw(_stacked([step.noise_pred[image] for step in steps])),
        DISTANCE: [paint(plane, low=0.0, high=most, colormap=SEQUENTIAL) for plane in distance],
    }


def predicted_frames(steps: Sequence[Step], draw: Draw, *, image: int = 0) -> list[Image.Image]:
    """Those of predicted z_0 alone."""
    return draw(_stacked([step.z_0_pred[image] for step in steps]))


def _stacked(latents: list[Tensor]) -> Tensor:
    """(S, C, h, w)"""
    return torch.stack([z.float() for z in latents])
