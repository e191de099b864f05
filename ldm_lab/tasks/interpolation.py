"""Interpolation: frames between two images, in the noise that they come from and in what they show."""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from ldm_lab.conditioning import Conditioning
from ldm_lab.core.config import setting
from ldm_lab.core.errors import RequestError
from ldm_lab.core.prompts import clean_prompt
from ldm_lab.model import LatentDiffusion
from ldm_lab.sampling import Step, sample_steps, slerp, slerp_conditions
from ldm_lab.sampling.steps import LARGEST_SEED
from ldm_lab.tasks.any_model import Wish, wish_of
from ldm_lab.tasks.picture_input import Picture
from ldm_lab.tasks.picture_noise import Finding, PictureNoiseSettings, find_noise, gap_to_reconstruction
from ldm_lab.tasks.plan import Finish, Plan, scheduler_of
from ldm_lab.tasks.settings import MAX_IMAGES, RANDOM_SEED


@dataclass(frozen=True, kw_only=True)
class InterpolationSettings(PictureNoiseSettings):
    """Frames from one image to another; each of the two is that of a seed, or a picture."""

    task: ClassVar[str] = "interpolation"

    seeds: tuple[int, ...] = setting(
        (),
        help="Of each end that is no picture, first frame before last; empty: 0 and 1.",
        minimum=RANDOM_SEED,
        maximum=LARGEST_SEED,
    )
    image: Picture | None = setting(None, help="Instead of a seed, a picture for the first frame: a file.")
    other_image: Picture | None = setting(None, help="Instead of a seed, a picture for the last frame: a file.")
    other_prompt: str | None = setting(None, help="What the last frame shows; None: what the first does.")
    other_label: int | str | None = setting(None, help="Class of the last frame; None: that of the first.")
    num_frames: int = setting(8, help="Images, the two ends among them.", minimum=2, maximum=MAX_IMAGES)

    def _check_seeds(self) -> None:
        wanted = 2 - len(self.pictures)
        if self.seeds and len(self.seeds) != wanted:
            raise RequestError(
                f"there are {len(self.seeds)} seeds and {len(self.pictures)} pictures; the first frame and the last "
                f"are that of a seed or a picture each, so give {wanted} seeds"
            )

    def resolved(self, **known: Any) -> Self:
        """As for every task, and a seed for each end that is no picture."""
        resolved = super().resolved(**known)
        other = None if self.other_prompt is None else clean_prompt(self.other_prompt)[0]
        seeds = resolved.seeds or tuple(range(2 - len(self.pictures)))
        return dataclasses.replace(resolved, seeds=seeds, other_prompt=other)

    def notes_on(self, resolved: Self) -> list[str]:
        """As for every task, and what was taken out of the other prompt."""
        other = [] if self.other_prompt is None else clean_prompt(self.other_prompt)[1]
        return list(dict.fromkeys([*super().notes_on(resolved), *other]))

    @property
    def image_names(self) -> list[str]:
        """Frames in order."""
        return [f"frame-{index:02}" for index in range(self.num_frames)]


def interpolation(model: LatentDiffusion, settings: InterpolationSettings) -> Plan:
    """Make frames between two images.

    Noise that a sampler adds on the way is that of the first seed in every frame; with a sampler that adds none, the
    last frame is the image of the second seed. An end that is a picture is what the walk back from its noise makes of
    it: ``inversion`` of that picture.
    """
    wishes = _wishes(model, settings)
    steps = _between(_ends(model, settings, wishes), model, settings, wishes)
    notes = tuple(dict.fromkeys(note for wish in wishes for note in wish.notes))
    return Plan(steps=steps, notes=notes, finish=_comparing(model, settings))


def _wishes(model: LatentDiffusion, settings: InterpolationSettings) -> list[Wish]:
    """What the first frame shows, and what the last does."""
    prompt = settings.prompt if settings.other_prompt is None else settings.other_prompt
    label = settings.label if settings.other_label is None else settings.other_label
    return [wish_of(model, settings), wish_of(model, dataclasses.replace(settings, prompt=prompt, label=label))]


def _ends(model: LatentDiffusion, settings: InterpolationSettings, wishes: list[Wish]) -> list[Finding]:
    """The noise of the first frame, and that of the last."""
    seeds = iter(settings.seeds)
    return [
        find_noise(
            model,
            settings,
            wish,
            picture=picture,
            seed=next(seeds) if picture is None else None,
            num_images=settings.num_frames,
        )
        for wish, picture in zip(wishes, (settings.image, settings.other_image), strict=True)
    ]


def _between(
    ends: list[Finding], model: LatentDiffusion, settings: InterpolationSettings, wishes: list[Wish]
) -> Iterator[Step]:
    """The ways to the noise of both ends, and then down from places between."""
    first = yield from ends[0]
    last = yield from ends[1]
    shares = [index / (settings.num_frames - 1) for index in range(settings.num_frames)]
    yield from sample_steps(
        model,
        _conditions([wish.cond for wish in wishes], shares),
        scheduler_of(model, settings),
        num_steps=settings.num_steps,
        seeds=(settings.seeds[:1] or (0,)) * settings.num_frames,  # from two pictures no noise is drawn
        shape=first.shape[1:],
        guidance=wishes[0].guidance,
        start=(torch.cat([slerp(first, last, share) for share in shares]), 0),
    )


def _conditions(conds: list[Conditioning | None], shares: list[float]) -> Conditioning | None:
    """The condition of every frame."""
    first, last = conds
    if first is None or last is None:
        return None
    return Conditioning.cat([slerp_conditions(first.select([0]), last.select([0]), share) for share in shares])


def _comparing(model: LatentDiffusion, settings: InterpolationSettings) -> Finish | None:
    """Say of each end that is a picture how far the walk ended from it."""
    ends = [("first", 0, settings.image), ("last", -1, settings.other_image)]
    pictures = [(name, frame, picture) for name, frame, picture in ends if picture is not None]

    def finish(pixels: Tensor) -> tuple[Tensor, list[str]]:
        return pixels, [
            f"the {name} frame is the walk back from its picture's noise, and differs from the first stage's "
            f"reconstruction by {gap_to_reconstruction(model, picture, pixels[frame])}"
            for name, frame, picture in pictures
        ]

    return finish if pictures else None
