"""The noise from which images come: that of a seed, or that from which a given picture would have come."""

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor

from ldm_lab.core.config import setting
from ldm_lab.core.errors import RequestError
from ldm_lab.core.images import to_uint8
from ldm_lab.core.seeding import sample_noise
from ldm_lab.model import LatentDiffusion
from ldm_lab.sampling import Step, invert_steps
from ldm_lab.tasks.any_model import AnyModelSettings, Wish
from ldm_lab.tasks.from_picture import SizedByPicture, encode_picture
from ldm_lab.tasks.picture_input import Picture

Finding = Generator[Step, None, Tensor]  # yields the steps up to the noise, and returns it: (1, C, h, w) on the CPU
INVERTIBLE = "ddim"


@dataclass(frozen=True, kw_only=True)
class PictureNoiseSettings(SizedByPicture, AnyModelSettings):
    """Settings of a task that takes pictures up to their noise; with a picture the walk is DDIM's, there and back.

    Guidance is 1 with a picture if nothing is said of it: above that, more iterations are needed.
    """

    num_iterations: int = setting(
        3, help="Evaluations of the network for each step up from a picture; more: closer.", minimum=1, maximum=100
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.pictures and self.sampler not in (None, INVERTIBLE):
            raise RequestError(
                f"sampler is {self.sampler!r}, but only {INVERTIBLE} leads back from the noise of a picture; leave it "
                "out, or begin with seeds"
            )

    def resolved(self, **known: Any) -> Self:
        """As for every task; a picture decides how the walk is taken."""
        if not self.pictures:
            return super().resolved(**known)
        scale = 1.0 if self.guidance_scale is None else self.guidance_scale
        return super().resolved(**known, sampler=INVERTIBLE, guidance_scale=scale)

    @property
    def length(self) -> int:
        """The way up from every picture, and the way down."""
        return self.num_steps * (1 + self.num_iterations * len(self.pictures))


def walk_up(model: LatentDiffusion, settings: PictureNoiseSettings, wish: Wish, z_0: Tensor) -> Iterator[Step]:
    """From latents (B, C, h, w) to their noise, by the walk that leads back; the last record's ``z_next`` is z_T."""
    return invert_steps(
        model,
        wish.cond,
        z_0,
        num_steps=settings.num_steps,
        num_iterations=settings.num_iterations,
        guidance=wish.guidance,
    )


def find_noise(
    model: LatentDiffusion,
    settings: PictureNoiseSettings,
    wish: Wish,
    *,
    picture: Picture | None,
    seed: int | None,
    num_images: int,
) -> Finding:
    """The noise of a picture, or that of a seed, for which no step is needed.

    The picture is walked up once. While that goes on, the records show it in the place of every image.

    Args:
        model: Whose latents they are.
        settings: Resolved.
        wish: What the picture shows; of the first image.
        picture: In the size of the images.
        seed: Looked at if there is no picture.
        num_images: What the task makes.

    Raises:
        RequestError: If the picture cannot be walked up.
    """
    if picture is None:
        return _at_once(sample_noise(model.latent_shape(settings.width, settings.height), [seed]))
    z_0 = encode_picture(model, picture, num_images=1)
    return _in_steps(walk_up(model, settings, wish.for_images(1), z_0), num_images)


@torch.no_grad()
def gap_to_reconstruction(model: LatentDiffusion, picture: Picture, images: Tensor) -> str:
    """How far images, uint8 (B, H, W, 3), are from what the first stage makes of a picture, in words."""
    reconstruction = to_uint8(model.decode(encode_picture(model, picture, num_images=1))).cpu()
    gap = (images.int() - reconstruction.int()).abs().float()
    return f"{gap.mean():.2f} of 255 levels on average and {int(gap.max())} at most"


def _at_once(noise: Tensor) -> Finding:
    yield from ()
    return noise


def _in_steps(steps: Iterator[Step], num_images: int) -> Finding:
    for step in steps:
        yield step.map(lambda z: z.expand(num_images, -1, -1, -1))
    return step.z_next.cpu()
