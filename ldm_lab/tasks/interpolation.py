"""Interpolation: frames between two images, in the noise that they come from and in what they show."""

import dataclasses
from dataclasses import dataclass
from typing import ClassVar

import torch

from ldm_lab.conditioning import Conditioning
from ldm_lab.core.config import setting
from ldm_lab.core.errors import RequestError
from ldm_lab.core.seeding import sample_noise
from ldm_lab.model import LatentDiffusion
from ldm_lab.sampling import Guidance, sample_steps, slerp, slerp_conditions
from ldm_lab.sampling.steps import LARGEST_SEED
from ldm_lab.tasks.any_model import AnyModelSettings, Wish, wish_of
from ldm_lab.tasks.plan import Plan, scheduler_of
from ldm_lab.tasks.settings import MAX_IMAGES, RANDOM_SEED


@dataclass(frozen=True, kw_only=True)
class InterpolationSettings(AnyModelSettings):
    """Frames from the image of the first seed, prompt or class to that of the second."""

    task: ClassVar[str] = "interpolation"

    seeds: tuple[int, ...] = setting(
        (0, 1), help="That of the first frame and that of the last.", minimum=RANDOM_SEED, maximum=LARGEST_SEED
    )
    other_prompt: str | None = setting(None, help="What the last frame shows; None: what the first does.")
    other_label: int | str | None = setting(None, help="Class of the last frame; None: that of the first.")
    num_frames: int = setting(8, help="Images, the two ends among them.", minimum=2, maximum=MAX_IMAGES)

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.seeds) != 2:
            raise RequestError(f"there are {len(self.seeds)} seeds; give that of the first frame and that of the last")

    @property
    def image_names(self) -> list[str]:
        """Frames in order."""
        return [f"frame-{index:02}" for index in range(self.num_frames)]


def interpolation(model: LatentDiffusion, settings: InterpolationSettings) -> Plan:
    """Make frames between two images.

    Noise that a sampler adds on the way is that of the first seed in every frame; with a sampler that adds none, the
    last frame is the image of the second seed.
    """
    shape = model.latent_shape(settings.width, settings.height)
    shares = [index / (settings.num_frames - 1) for index in range(settings.num_frames)]
    noises = [sample_noise(shape, [seed]) for seed in settings.seeds]
    wishes = _ends(model, settings)
    steps = sample_steps(
        model,
        _between([wish.cond for wish in wishes], shares),
        scheduler_of(model, settings),
        num_steps=settings.num_steps,
        seeds=settings.seeds[:1] * settings.num_frames,
        shape=shape,
        guidance=_guidance(wishes[0], settings.num_frames),
        start=(torch.cat([slerp(*noises, share) for share in shares]), 0),
    )
    return Plan(steps=steps, notes=tuple(dict.fromkeys(note for wish in wishes for note in wish.notes)))


def _ends(model: LatentDiffusion, settings: InterpolationSettings) -> list[Wish]:
    """What the first frame shows, and what the last does."""
    prompt = settings.prompt if settings.other_prompt is None else settings.other_prompt
    label = settings.label if settings.other_label is None else settings.other_label
    return [wish_of(model, settings), wish_of(model, dataclasses.replace(settings, prompt=prompt, label=label))]


def _between(conds: list[Conditioning | None], shares: list[float]) -> Conditioning | None:
    """The condition of every frame."""
    first, last = conds
    if first is None or last is None:
        return None
    return Conditioning.cat([slerp_conditions(first.select([0]), last.select([0]), share) for share in shares])


def _guidance(wish: Wish, num_frames: int) -> Guidance:
    """That of the first frame, for all of them."""
    negative = wish.guidance.negative
    if negative is None:
        return wish.guidance
    return dataclasses.replace(wish.guidance, negative=negative.select([0]).repeat(num_frames))
