"""Inversion: the noise from which a picture would have come, and the way back from it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from ldm_lab.core.config import setting
from ldm_lab.core.images import to_uint8
from ldm_lab.model import LatentDiffusion
from ldm_lab.sampling import Step, invert_steps, sample_steps
from ldm_lab.tasks.any_model import Wish, wish_of
from ldm_lab.tasks.from_picture import PictureSettings, encode_picture
from ldm_lab.tasks.plan import Finish, Plan, scheduler_of, walk_of


@dataclass(frozen=True, kw_only=True)
class InversionSettings(PictureSettings):
    """A picture taken up to noise and down again; the trajectory holds both ways, and the noise where they meet."""

    task: ClassVar[str] = "inversion"

    sampler: str | None = setting("ddim", help="The walk that is inverted.", choices=("ddim",))
    guidance_scale: float | None = setting(
        1.0, help="As in any walk; above 1 more iterations are needed.", minimum=0.0, maximum=50.0, step=0.5
    )
    num_iterations: int = setting(
        3, help="Evaluations of the network for each step up; more: closer.", minimum=1, maximum=100
    )

    @property
    def length(self) -> int:
        """Both ways."""
        return self.num_steps * (self.num_iterations + 1)


def inversion(model: LatentDiffusion, settings: InversionSettings) -> Plan:
    """Find the noise of a picture, and walk back from it."""
    wish = wish_of(model, settings)
    z_0 = encode_picture(model, settings.image, num_images=len(settings.seeds))
    steps = _up_and_down(model, settings, wish, z_0)
    return Plan(steps=steps, z_0=z_0, notes=wish.notes, finish=_comparing(to_uint8(model.decode(z_0[:1])).cpu()))


def _up_and_down(model: LatentDiffusion, settings: InversionSettings, wish: Wish, z_0: Tensor) -> Iterator[Step]:
    up = invert_steps(
        model,
        wish.cond,
        z_0,
        num_steps=settings.num_steps,
        num_iterations=settings.num_iterations,
        guidance=wish.guidance,
    )
    return _joined(up, model, settings, wish)


def _joined(up: Iterator[Step], model: LatentDiffusion, settings: InversionSettings, wish: Wish) -> Iterator[Step]:
    """The way up, and then the way down from where it ended."""
    for step in up:
        yield step
    yield from sample_steps(
        model,
        wish.cond,
        scheduler_of(model, settings),
        **walk_of(settings),
        shape=step.z_next.shape[1:],
        guidance=wish.guidance,
        start=(step.z_next, 0),
    )


def _comparing(decoded: Tensor) -> Finish:
    """Say how far the walk ended from where it began, beside what the first stage makes of the picture."""

    def finish(pixels: Tensor) -> tuple[Tensor, list[str]]:
        gap = (pixels.int() - decoded.int()).abs().float()
        return pixels, [
            f"the way back differs from the first stage's reconstruction by {gap.mean():.2f} of 255 levels on average "
            f"and {int(gap.max())} at most"
        ]

    return finish
