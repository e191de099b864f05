"""What a user may ask of any task; limits and help texts are stated here, for every front-end alike.

The settings of each task stand beside its function; these are the parts that they share.
"""

import dataclasses
import secrets
import typing
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from ldm_lab.core.config import check, from_dict, setting
from ldm_lab.core.errors import ConfigError, RequestError
from ldm_lab.sampling import SAMPLERS, check_curve
from ldm_lab.sampling.steps import LARGEST_SEED
from ldm_lab.tasks.picture_input import Picture

RANDOM_SEED = -1
MAX_IMAGES = 64
MAX_SIDE = 1024


@dataclass(frozen=True, kw_only=True)
class TaskSettings:
    """What every task is asked; None means what the model's config.json recommends.

    Image i depends on ``seeds[i]`` and on nothing else in the batch.

    Raises:
        RequestError: If a value is of the wrong type, out of range, or contradicts another.
    """

    task: ClassVar[str]

    seeds: tuple[int, ...] = setting(
        (0,), help="One an image; -1 draws one at random.", minimum=RANDOM_SEED, maximum=LARGEST_SEED
    )
    num_steps: int | None = setting(None, help="Steps of the walk from noise to image.", minimum=1, maximum=1000)
    sampler: str | None = setting(None, help="How the walk is taken.", choices=tuple(SAMPLERS))
    width: int | None = setting(None, help="Width of an image in pixels.", minimum=1, maximum=MAX_SIDE)
    height: int | None = setting(None, help="Height of an image in pixels.", minimum=1, maximum=MAX_SIDE)

    def __post_init__(self) -> None:
        check(self, error=RequestError)
        self._check_seeds()

    def _check_seeds(self) -> None:
        if not 1 <= len(self.seeds) <= MAX_IMAGES:
            raise RequestError(f"there are {len(self.seeds)} seeds; give one an image, from 1 to {MAX_IMAGES}")

    @classmethod
    def of(cls, **values: Any) -> Self:
        """Make settings from what a person gave: lists and ranges count as tuples, one seed as a list of it, and
        pictures are read from wherever they are.

        Raises:
            RequestError: If a name is unknown or a value is not accepted.
            ImageError: If a picture cannot be read.
        """
        seeds = values.get("seeds")
        if isinstance(seeds, int) and not isinstance(seeds, bool):
            values["seeds"] = (seeds,)
        if isinstance(seeds, range):
            values["seeds"] = tuple(seeds)
        for name, kind in picture_fields(cls).items():
            if values.get(name) is not None:
                values[name] = kind.of(values[name])
        try:
            return from_dict(cls, values)
        except ConfigError as error:
            raise RequestError(str(error)) from error

    def resolved(self, *, image_size: int, defaults: "TaskSettings | None" = None, **decided: Any) -> Self:
        """Settings that need no model to be understood: None replaced, seeds drawn.

        Args:
            image_size: Side in pixels of the model's images.
            defaults: What the model recommends; where it says nothing, the package's own default holds.
            **decided: What the task itself decides on, such as width and height.
        """
        package = PACKAGE_DEFAULTS | {"width": image_size, "height": image_size}
        values: dict[str, Any] = dict(decided)
        for field in dataclasses.fields(self):
            if field.name in package and field.name not in values and getattr(self, field.name) is None:
                recommended = getattr(defaults, field.name, None)
                values[field.name] = package[field.name] if recommended is None else recommended
        seeds = tuple(secrets.randbelow(LARGEST_SEED + 1) if seed == RANDOM_SEED else seed for seed in self.seeds)
        return dataclasses.replace(self, seeds=seeds, **values)

    def notes_on(self, resolved: Self) -> list[str]:
        """What the user should know of the way from these settings to the resolved ones."""
        return []

    @property
    def title(self) -> str:
        """What is asked for, in a few words."""
        return self.task.replace("_", " ")

    @property
    def length(self) -> int:
        """About how many steps the walk of resolved settings has; second-order samplers and RePaint take more."""
        return self.num_steps

    @property
    def image_names(self) -> list[str]:
        """What the images are called as files, in order."""
        return [f"image-{index}-seed-{seed}" for index, seed in enumerate(self.seeds)]


@dataclass(frozen=True, kw_only=True)
class GuidedSettings(TaskSettings):
    """What every task is asked that follows a condition."""

    guidance_scale: float | None = setting(
        None, help="1: follow the condition; more: exaggerate it.", minimum=0.0, maximum=50.0, step=0.5
    )
    guidance_rescale: float | None = setting(
        None, help="Counters over-saturation at high guidance.", minimum=0.0, maximum=1.0, step=0.05
    )
    guidance_interval: tuple[float, float] | None = setting(
        None, help="Part of the way, 0 noise to 1 image, with guidance.", minimum=0.0, maximum=1.0, step=0.05
    )

    guidance_curve: tuple[tuple[float, float], ...] = setting(
        (), help="Places, 0 noise to 1 image, and the guidance there; lines between. Empty: guidance_scale."
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_curve(self.guidance_curve, name="guidance_curve")
        if self.guidance_interval is not None and self.guidance_interval[0] > self.guidance_interval[1]:
            raise RequestError(f"guidance_interval is {self.guidance_interval}; it must not end before it begins")


def picture_fields(settings: type[TaskSettings]) -> dict[str, type[Picture]]:
    """Fields of a settings class that hold a picture, and of which kind."""
    found = {}
    for name, hint in typing.get_type_hints(settings).items():
        for option in (hint, *typing.get_args(hint)):
            if isinstance(option, type) and issubclass(option, Picture):
                found[name] = option
    return found


PACKAGE_DEFAULTS: dict[str, Any] = {
    "num_steps": 20,
    "guidance_scale": 4.0,
    "guidance_rescale": 0.0,
    "guidance_interval": (0.0, 1.0),
    "sampler": "dpm++2m",
}
