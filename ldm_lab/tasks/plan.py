"""What a task does. A task is a function from a model and resolved settings to a plan; ``flow`` carries it out."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from ldm_lab.conditioning import Conditioning
from ldm_lab.model import LatentDiffusion
from ldm_lab.sampling import Condition, Denoiser, Guidance, Guide, Scheduler, Step, Walk, make_scheduler
from ldm_lab.tasks.settings import GuidedSettings, TaskSettings

Decode = Callable[[Tensor], Tensor]
Finish = Callable[[Tensor], tuple[Tensor, list[str]]]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Plan:
    """The way to the images of a task; everything about it is checked, and nothing has begun.

    Attributes:
        walk: The walk, where it is a single one; another run can leave it at any step.
        steps: The steps of a task that walks several times, one way after the other.
        z_0: The result of a walk without steps. (B, C, h, w)
        needs_gradients: Whether a step computes gradients.
        notes: What the user should know before the first step.
        decode: Scaled latents (B, C, h, w) → images (B, 3, H, W); None: as the model decodes.
        latent_scale: How many times larger its latents are than those of the model; ``decode`` knows it.
        finish: Pixels as decoded, uint8 (B, H, W, 3) → those to keep, and what is to be said of them.
    """

    walk: Walk | None = None
    steps: Iterator[Step] = field(default_factory=lambda: iter(()))
    z_0: Tensor | None = None
    needs_gradients: bool = False
    notes: tuple[str, ...] = ()
    decode: Decode | None = None
    latent_scale: float = 1.0
    finish: Finish | None = None

    def begin(self) -> Iterator[Step]:
        """Its steps.

        Raises:
            LdmLabError: If the walk cannot be taken; that is found here, before the first step.
        """
        return self.steps if self.walk is None else self.walk.steps()


def from_noise(
    model: LatentDiffusion,
    settings: TaskSettings,
    *,
    cond: Condition = None,
    guidance: Guide | None = None,
    denoiser: Denoiser | None = None,
    size: tuple[int, int] | None = None,
    start: tuple[Tensor, int] | None = None,
) -> Walk:
    """The walk from noise to images of the size asked for.

    Args:
        model: Whose latents they are.
        settings: Resolved.
        cond: Condition of each image, or None.
        guidance: None: the condition alone.
        denoiser: What predicts; None: the model.
        size: Width and height of the images; None: those of the settings.
        start: z_t and the position of the walk where it begins; None: the noise of the seeds at the first.

    Raises:
        RequestError: If the size or anything else cannot be served.
    """
    return Walk(
        model=denoiser or model,
        cond=cond,
        scheduler=scheduler_of(model, settings),
        **walk_of(settings),
        shape=model.latent_shape(*(size or (settings.width, settings.height))),
        guidance=guidance or Guidance(),
        start=start,
    )


def scheduler_of(model: LatentDiffusion, settings: TaskSettings) -> Scheduler:
    """The sampler that was asked for."""
    return make_scheduler(settings.sampler, model.config.schedule, model.prediction)


def walk_of(settings: TaskSettings) -> dict[str, Any]:
    """What every walk is told."""
    return {"num_steps": settings.num_steps, "seeds": settings.seeds}


def each_for_all(conditions: Conditioning, num_images: int) -> list[Conditioning]:
    """One record for each row of ``conditions``, in which that row is the condition of every image."""
    return [conditions.select([row]).repeat(num_images) for row in range(conditions.batch_size)]


def guidance_away_from(negative: Conditioning, settings: GuidedSettings) -> Guidance:
    """Guidance as resolved settings ask for it."""
    return Guidance(
        scale=settings.guidance_scale,
        rescale=settings.guidance_rescale,
        interval=settings.guidance_interval,
        curve=settings.guidance_curve,
        negative=negative,
    )
