"""How the predicted latent of one image changes over the steps of a run."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ldm_lab.core.errors import RequestError
from ldm_lab.probes.latents import channel_histograms
from ldm_lab.sampling import Step


@dataclass(frozen=True, slots=True, eq=False)
class LatentWalk:
    """z_0 as it was predicted at some steps.

    Attributes:
        steps: Which.
        z: The latents, in fp32. (S, C, h, w)
        histograms: How often the values of each channel occur; see ``channel_histograms``. (S, C, bins)
    """

    steps: tuple[Step, ...]
    z: Tensor
    histograms: Tensor


def latent_walk(steps: Sequence[Step], *, image: int = 0) -> LatentWalk:
    """Take the predictions of one image out of steps.

    Raises:
        RequestError: If there is no step or no such image.
    """
    if not steps:
        raise RequestError("the run has no steps to look at; it is one of a walk of zero length")
    count = len(steps[0].z_0_pred)
    if not 0 <= image < count:
        raise RequestError(f"there is no image {image}; the steps have {count}, counted from 0")
    z = torch.stack([step.z_0_pred[image].float().cpu() for step in steps])
    return LatentWalk(tuple(steps), z, torch.stack([channel_histograms(one) for one in z]))
