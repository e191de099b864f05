"""What a user may ask of a task; limits and help texts are stated here, for every front-end alike."""

import dataclasses
import secrets
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from ldm_lab.core.config import check, from_dict, setting
from ldm_lab.core.errors import ConfigError, RequestError
from ldm_lab.core.prompts import clean_prompt
from ldm_lab.sampling import SAMPLERS
from ldm_lab.sampling.steps import LARGEST_SEED

RANDOM_SEED = -1
MAX_IMAGES = 64
MAX_SIDE = 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class TextToImageSettings:
    """Images from a sentence; None means what the model's config.json recommends.

    Image i depends on ``seeds[i]`` and on nothing else in the batch.

    Raises:
        RequestError: If a value is of the wrong type, out of range, or contradicts another.
    """

    task: ClassVar[str] = "text_to_image"

    prompt: str = setting(dataclasses.MISSING, help="What the images shall show; empty: no condition.")
    negative_prompt: str = setting("", help="What guidance moves away from; empty: from no condition.")
    seeds: tuple[int, ...] = setting(
        (0,), help="One an image; -1 draws one at random.", minimum=RANDOM_SEED, maximum=LARGEST_SEED
    )
    num_steps: int | None = setting(None, help="Steps of the walk from noise to image.", minimum=1, maximum=1000)
    guidance_scale: float | None = setting(
        None, help="1: follow the prompt; more: exaggerate it.", minimum=0.0, maximum=50.0, step=0.5
    )
    guidance_rescale: float | None = setting(
        None, help="Counters over-saturation at high guidance.", minimum=0.0, maximum=1.0, step=0.05
    )
    guidance_interval: tuple[float, float] | None = setting(
        None, help="Part of the way, 0 noise to 1 image, with guidance.", minimum=0.0, maximum=1.0, step=0.05
    )
    sampler: str | None = setting(None, help="How the walk is taken.", choices=tuple(SAMPLERS))
    width: int | None = setting(None, help="Width of an image in pixels.", minimum=1, maximum=MAX_SIDE)
    height: int | None = setting(None, help="Height of an image in pixels.", minimum=1, maximum=MAX_SIDE)

    def __post_init__(self) -> None:
        check(self, error=RequestError)
        for prompt in (self.prompt, self.negative_prompt):
            clean_prompt(prompt)
        if not 1 <= len(self.seeds) <= MAX_IMAGES:
            raise RequestError(f"there are {len(self.seeds)} seeds; give one an image, from 1 to {MAX_IMAGES}")
        if self.guidance_interval is not None and self.guidance_interval[0] > self.guidance_interval[1]:
            raise RequestError(f"guidance_interval is {self.guidance_interval}; it must not end before it begins")

    @classmethod
    def of(cls, **values: Any) -> Self:
        """Make settings from what a person typed: lists and ranges are taken for tuples, one seed for a list of it.

        Raises:
            RequestError: If a name is unknown or a value is not accepted.
        """
        seeds = values.get("seeds")
        if isinstance(seeds, int) and not isinstance(seeds, bool):
            values["seeds"] = (seeds,)
        if isinstance(seeds, range):
            values["seeds"] = tuple(seeds)
        try:
            return from_dict(cls, values)
        except ConfigError as error:
            raise RequestError(str(error)) from error

    def resolved(self, *, image_size: int, defaults: Self | None = None) -> Self:
        """Settings that need no model to be understood: None replaced, seeds drawn, prompts in canonical form.

        Args:
            image_size: Side in pixels of the model's images.
            defaults: What the model recommends; where it says nothing, the package's own default holds.
        """
        package = _PACKAGE_DEFAULTS | {"width": image_size, "height": image_size}
        missing = [name for name in package if getattr(self, name) is None]
        recommended = {name: getattr(defaults, name, None) for name in missing}
        values = {name: package[name] if value is None else value for name, value in recommended.items()}
        seeds = tuple(secrets.randbelow(LARGEST_SEED + 1) if seed == RANDOM_SEED else seed for seed in self.seeds)
        prompts = {name: clean_prompt(getattr(self, name))[0] for name in ("prompt", "negative_prompt")}
        return dataclasses.replace(self, seeds=seeds, **prompts, **values)


_PACKAGE_DEFAULTS: dict[str, Any] = {
    "num_steps": 20,
    "guidance_scale": 4.0,
    "guidance_rescale": 0.0,
    "guidance_interval": (0.0, 1.0),
    "sampler": "dpm++2m",
}
