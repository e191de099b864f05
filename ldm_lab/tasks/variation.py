"""Variations: images from noise near that of another image, be it one of a seed or a picture."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from ldm_lab.core.config import setting
from ldm_lab.core.errors import RequestError
from ldm_lab.model import LatentDiffusion
from ldm_lab.sampling import Step, vary
from ldm_lab.sampling.steps import LARGEST_SEED
from ldm_lab.tasks.any_model import Wish, wish_of
from ldm_lab.tasks.picture_input import Picture
from ldm_lab.tasks.picture_noise import Finding, PictureNoiseSettings, find_noise, gap_to_reconstruction
from ldm_lab.tasks.plan import Finish, Plan, from_noise


@dataclass(frozen=True, kw_only=True)
class VariationSettings(PictureNoiseSettings):
    """Images like that of one seed, or like a picture; each of ``seeds`` turns its noise another way."""

    task: ClassVar[str] = "variation"

    of_seed: int | None = setting(None, help="Seed of the image that is varied.", minimum=0, maximum=LARGEST_SEED)
    image: Picture | None = setting(None, help="Instead of of_seed, a picture that is varied: a file.")
    amount: float = setting(
        0.3, help="0: that image; 1: images that have nothing to do with it.", minimum=0.0, maximum=1.0, step=0.05
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.of_seed is None) == (self.image is None):
            raise RequestError(
                f"of_seed is {self.of_seed} and image is {self.image}; give one of them, as that which is varied"
            )


def variation(model: LatentDiffusion, settings: VariationSettings) -> Plan:
    """Make images like another."""
    wish = wish_of(model, settings)
    found = find_noise(
        model, settings, wish, picture=settings.image, seed=settings.of_seed, num_images=len(settings.seeds)
    )
    return Plan(steps=_around(found, model, settings, wish), notes=wish.notes, finish=_comparing(model, settings))


def _around(found: Finding, model: LatentDiffusion, settings: VariationSettings, wish: Wish) -> Iterator[Step]:
    """The way to the noise, and then down from places near it."""
    noise = yield from found
    z = vary(noise.repeat(len(settings.seeds), 1, 1, 1), settings.seeds, amount=settings.amount)
    yield from from_noise(model, settings, cond=wish.cond, guidance=wish.guidance, start=(z, 0)).steps()


def _comparing(model: LatentDiffusion, settings: VariationSettings) -> Finish | None:
    """Where a picture is not varied at all, say how far the walk ended from it."""
    picture = settings.image
    if picture is None or settings.amount > 0:
        return None

    def finish(pixels: Tensor) -> tuple[Tensor, list[str]]:
        gap = gap_to_reconstruction(model, picture, pixels)
        return pixels, [f"amount is 0: the images differ from the first stage's reconstruction of the picture by {gap}"]

    return finish
