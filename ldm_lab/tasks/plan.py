"""What a task asks of the walk. A task is a function from a model and settings to a plan; ``flow`` carries it out."""

from collections.abc import Callable
from dataclasses import dataclass, field

from torch import Tensor

from ldm_lab.conditioning import Conditioning
from ldm_lab.sampling import Condition, Guidance
from ldm_lab.tasks.settings import GuidedSettings

Finish = Callable[[Tensor], tuple[Tensor, list[str]]]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Plan:
    """One walk from noise to images; everything about it is checked.

    Attributes:
        shape: Of one latent. (C, h, w)
        cond: Condition of each image, or a schedule of them, or None for an unconditional model.
        guidance: How the condition is exaggerated.
        notes: What the user should know before the first step.
        finish: Decoded images (B, 3, H, W) in [-1, 1] → images to keep, and what is to be said of them.
    """

    shape: tuple[int, int, int]
    cond: Condition = None
    guidance: Guidance = field(default_factory=Guidance)
    notes: tuple[str, ...] = ()
    finish: Finish | None = None


def each_for_all(conditions: Conditioning, num_images: int) -> list[Conditioning]:
    """One record for each row of ``conditions``, in which that row is the condition of every image."""
    return [conditions.select([row]).repeat(num_images) for row in range(conditions.batch_size)]


def guidance_away_from(negative: Conditioning, settings: GuidedSettings) -> Guidance:
    """Guidance as resolved settings ask for it."""
    return Guidance(
        scale=settings.guidance_scale,
        rescale=settings.guidance_rescale,
        interval=settings.guidance_interval,
        negative=negative,
    )
