"""Blends: one image whose noise lies between that of two to four anchors, and whose wish lies between theirs."""

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Self, TypeVar

from torch import Tensor

from ldm_lab.core.config import setting
from ldm_lab.core.errors import RequestError
from ldm_lab.core.prompts import clean_prompt
from ldm_lab.core.seeding import sample_noise
from ldm_lab.model import LatentDiffusion
from ldm_lab.sampling import circle, lerp, slerp, slerp_conditions
from ldm_lab.sampling.steps import LARGEST_SEED
from ldm_lab.tasks.any_model import AnyModelSettings, Wish, wish_of
from ldm_lab.tasks.latent_edits import PastedLatent
from ldm_lab.tasks.plan import Plan, from_noise
from ldm_lab.tasks.settings import RANDOM_SEED
from ldm_lab.tasks.weights import read_weights

MAX_ANCHORS = 4
PATHS = ("across", "down", "rim")
WAYS = {"slerp": slerp, "lerp": lerp, "circle": circle}

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class BlendSettings(AnyModelSettings):
    """One image between anchors: two on a line, three or four at the corners of a plane."""

    task: ClassVar[str] = "blend"

    seeds: tuple[int, ...] = setting(
        (0, 1), help="Of the anchors, one each.", minimum=RANDOM_SEED, maximum=LARGEST_SEED
    )
    noises: tuple[PastedLatent, ...] = setting(
        (), help="Noise of further anchors, such as inversion finds for pictures; from Python."
    )
    prompts: tuple[str, ...] = setting((), help="What each anchor shows; empty: what prompt says.")
    across: float = setting(0.5, help="From the left anchors to the right ones.", minimum=0.0, maximum=1.0, step=0.01)
    down: float = setting(0.0, help="From the upper anchors to the lower ones.", minimum=0.0, maximum=1.0, step=0.01)
    way: str = setting("slerp", help="How noise is led from anchor to anchor.", choices=tuple(WAYS))

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.prompts and len(self.prompts) != self.num_anchors:
            raise RequestError(f"there are {len(self.prompts)} prompts for {self.num_anchors} anchors; give one each")
        for prompt in self.prompts:
            read_weights(prompt)

    def _check_seeds(self) -> None:
        if not 2 <= self.num_anchors <= MAX_ANCHORS:
            raise RequestError(f"there are {self.num_anchors} anchors; give seeds and noises of 2 to {MAX_ANCHORS}")

    def resolved(self, **known: Any) -> Self:
        """As for every task, and prompts in canonical form."""
        prompts = tuple(clean_prompt(prompt)[0] for prompt in self.prompts)
        return dataclasses.replace(super().resolved(**known), prompts=prompts)

    @property
    def num_anchors(self) -> int:
        """Seeds and noises together."""
        return len(self.seeds) + len(self.noises)

    @property
    def image_names(self) -> list[str]:
        """One image."""
        return ["blend"]


def blend(model: LatentDiffusion, settings: BlendSettings) -> Plan:
    """Make the image at a place between the anchors.

    Noise that a sampler adds on the way is that of the first seed.
    """
    wish, others = _wishes(model, settings)
    cond = wish.cond
    if cond is not None and others:
        cond = between([cond, *(other.cond for other in others)], settings, _mix_conditions(settings.way))
    noise = blended_noise(model.latent_shape(settings.width, settings.height), settings)
    one = dataclasses.replace(wish.for_images(1), cond=cond if cond is None else cond.select([0]))
    walk = from_noise(model, settings, cond=one.cond, guidance=one.guidance, start=(noise.to(model.device), 0))
    walk = dataclasses.replace(walk, seeds=settings.seeds[:1] or (0,))  # from noises alone none is drawn
    return Plan(walk=walk, notes=tuple(dict.fromkeys(note for each in (wish, *others) for note in each.notes)))


def blended_noise(shape: tuple[int, int, int], settings: BlendSettings) -> Tensor:
    """The noise at the place that settings name, on the CPU. (1, C, h, w)

    Raises:
        RequestError: If noise of a picture has another shape.
    """
    drawn = [sample_noise(shape, [seed]) for seed in settings.seeds]
    return between([*drawn, *(_pasted(noise, shape) for noise in settings.noises)], settings, WAYS[settings.way])


def between(anchors: list[T], settings: BlendSettings, mix: Callable[[T, T, float], T]) -> T:
    """What lies at the place that settings name: across between the first two and between the others, then down."""
    rows = [anchors[:2], anchors[2:]]
    ends = [mix(row[0], row[1], settings.across) if len(row) == 2 else row[0] for row in rows if row]
    return ends[0] if len(ends) == 1 else mix(ends[0], ends[1], settings.down)


def places_on(path: str, settings: BlendSettings, count: int) -> list[BlendSettings]:
    """Settings for the frames of a way over the plane.

    Args:
        path: "across" or "down", through the place that settings name, or "rim": a circle around the middle.
        settings: The anchors.
        count: Frames, at least 2.

    Raises:
        RequestError: If there is no such path, or there are too few frames.
    """
    if path not in PATHS or count < 2:
        raise RequestError(f"path is {path!r:.40} with {count} frames; choose one of {', '.join(PATHS)} and 2 or more")
    shares = [index / (count - 1) for index in range(count)]
    if path == "rim":
        angles = [2.0 * math.pi * share for share in shares]
        places = [{"across": 0.5 - 0.5 * math.cos(angle), "down": 0.5 - 0.5 * math.sin(angle)} for angle in angles]
        return [dataclasses.replace(settings, **place) for place in places]
    return [dataclasses.replace(settings, **{path: share}) for share in shares]


def _wishes(model: LatentDiffusion, settings: BlendSettings) -> tuple[Wish, list[Wish]]:
    """That of the first anchor, and those of the others where anchors have their own."""
    if not settings.prompts:
        return wish_of(model, settings), []
    first, *others = [wish_of(model, dataclasses.replace(settings, prompt=prompt)) for prompt in settings.prompts]
    return first, others


def _mix_conditions(way: str) -> Callable[[Any, Any, float], Any]:
    """Conditions have no circle: they go to the other anchor and come back."""
    if way != "circle":
        return slerp_conditions
    return lambda first, second, share: slerp_conditions(first, second, math.sin(math.pi * share) ** 2)


def _pasted(noise: PastedLatent, shape: tuple[int, int, int]) -> Tensor:
    tensor = noise.tensor()
    if tuple(tensor.shape[-3:]) != shape or tensor.numel() != math.prod(shape):
        raise RequestError(f"the noise of a picture has shape {tuple(tensor.shape)}; images of this size need {shape}")
    return tensor.reshape(1, *shape)
