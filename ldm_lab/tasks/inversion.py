"""Inversion: the noise from which a picture would have come, and the way back from it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from ldm_lab.core.config import setting
from ldm_lab.model import LatentDiffusion
from ldm_lab.sampling import Step
from ldm_lab.tasks.any_model import Wish, wish_of
from ldm_lab.tasks.from_picture import PictureSettings, encode_picture
from ldm_lab.tasks.picture_noise import INVERTIBLE, PictureNoiseSettings, gap_to_reconstruction, walk_up
from ldm_lab.tasks.plan import Finish, Plan, from_noise


@dataclass(frozen=True, kw_only=True)
class InversionSettings(PictureNoiseSettings, PictureSettings):
    """A picture taken up to noise and down again; the trajectory holds both ways, and the noise where they meet."""

    task: ClassVar[str] = "inversion"

    sampler: str | None = setting(INVERTIBLE, help="The walk that is inverted.", choices=(INVERTIBLE,))
    guidance_scale: float | None = setting(
        1.0, help="As in any walk; above 1 more iterations are needed.", minimum=0.0, maximum=50.0, step=0.5
    )


def inversion(model: LatentDiffusion, settings: InversionSettings) -> Plan:
    """Find the noise of a picture, and walk back from it."""
    wish = wish_of(model, settings)
    z_0 = encode_picture(model, settings.image, num_images=len(settings.seeds))
    steps = _and_down(walk_up(model, settings, wish, z_0), model, settings, wish)
    return Plan(steps=steps, z_0=z_0, notes=wish.notes, finish=_comparing(model, settings))


def _and_down(up: Iterator[Step], model: LatentDiffusion, settings: InversionSettings, wish: Wish) -> Iterator[Step]:
    """The way up, and then the way down from where it ended."""
    for step in up:
        yield step
    yield from from_noise(model, settings, cond=wish.cond, guidance=wish.guidance, start=(step.z_next, 0)).steps()


def _comparing(model: LatentDiffusion, settings: InversionSettings) -> Finish:
    """Say how far the walk ended from where it began, beside what the first stage makes of the picture."""

    def finish(pixels: Tensor) -> tuple[Tensor, list[str]]:
        gap = gap_to_reconstruction(model, settings.image, pixels)
        return pixels, [f"the way back differs from the first stage's reconstruction by {gap}"]

    return finish
