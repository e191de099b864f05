"""A walk in numbers: how noisy each step was, how large its latents were, and how far it led."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from ldm_lab.core.errors import RequestError
from ldm_lab.diffusion import NoiseSchedule
from ldm_lab.sampling import Step


@dataclass(frozen=True, kw_only=True, slots=True)
class WalkMeasures:
    """Numbers of one image, one for each step.

    Attributes:
        noise_rate: sqrt(1 - abar_t), the share of noise in z_t.
        z_t: Root mean square of z_t; about 1 all the way where the latents have unit variance.
        z_0: That of predicted z_0.
        distance: That of z_next - z_t, how far the step led.
    """

    noise_rate: tuple[float, ...]
    z_t: tuple[float, ...]
    z_0: tuple[float, ...]
    distance: tuple[float, ...]


def measure_walk(steps: Sequence[Step], schedule: NoiseSchedule, *, image: int = 0) -> WalkMeasures:
    """Measure every step for one image of the batch.

    Args:
        steps: Such as ``run.trajectory``.
        schedule: Of the model; between its steps the nearest one counts.
        image: Counted from 0.

    Raises:
        RequestError: If there is no step, or no such image.
    """
    check_image(steps, image)
    noise_rates = (1.0 - schedule.alphas_cumprod).sqrt()
    return WalkMeasures(
        noise_rate=tuple(noise_rates[round(step.t)].item() for step in steps),
        z_t=tuple(_size(step.z_t[image]) for step in steps),
        z_0=tuple(_size(step.z_0_pred[image]) for step in steps),
        distance=tuple(_size(step.z_next[image].float() - step.z_t[image].float()) for step in steps),
    )


def check_image(steps: Sequence[Step], image: int) -> None:
    """Refuse a walk without steps, and an image that is not among them.

    Raises:
        RequestError: Saying what there is.
    """
    if not steps:
        raise RequestError("the run has no steps to look at; make one with a task that walks, such as text_to_image")
    if not 0 <= image < len(steps[0].z_t):
        raise RequestError(f"there is no image {image}; the run has {len(steps[0].z_t)}, counted from 0")


def _size(z: Tensor) -> float:
    return z.float().square().mean().sqrt().item()
