"""Classifier-free guidance: a wrapper around prediction, unknown to the network and to the walk."""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from ldm_lab.conditioning import Conditioning
from ldm_lab.core.config import check, setting
from ldm_lab.core.errors import RequestError
from ldm_lab.diffusion import NoiseSchedule, Prediction

Denoise = Callable[[Tensor, int], Tensor]  # (z_t, index of the step) -> prediction
MAX_SCALE = 50.0
WHOLE_IMAGE = (0.0, 0.0, 1.0, 1.0)
ROUNDING = 1e-9  # of a share of the steps, so that 0.3 is step 3 of 10


class Denoiser(Protocol):
    """What the walk needs to know of a model."""

    @property
    def schedule(self) -> NoiseSchedule: ...  # noqa: D102

    @property
    def prediction(self) -> Prediction: ...  # noqa: D102

    @property
    def device(self) -> torch.device: ...  # noqa: D102

    @property
    def dtype(self) -> torch.dtype: ...  # noqa: D102

    def bind(self, cond: Conditioning | None, timesteps: Tensor, *, copies: int = 1) -> Denoise:
        """Compute once what does not change over ``timesteps``; the result maps (B, C, h, w) to (copies B, C, h, w)."""


class DenoiserAround:
    """What is the same of a model and of a denoiser put around it; a subclass says how it binds."""

    def __init__(self, model: Denoiser) -> None:
        self._model = model

    @property
    def schedule(self) -> NoiseSchedule:
        """That of the model."""
        return self._model.schedule

    @property
    def prediction(self) -> Prediction:
        """That of the model."""
        return self._model.prediction

    @property
    def device(self) -> torch.device:
        """That of the model."""
        return self._model.device

    @property
    def dtype(self) -> torch.dtype:
        """That of the model."""
        return self._model.dtype


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Guidance:
    """How strongly, how and when the condition is exaggerated.

    Attributes:
        scale: 1 is plain conditional; w + 1 of Ho & Salimans 2022.
        rescale: Share of the rescaling to the conditional prediction's spread, phi of Lin et al. 2023, section 3.4.
        interval: Where guidance acts, from 0 (pure noise) to 1 (image), measured on t, so that it means the same for
            every sampler and number of steps: 1 - t / (T - 1). Elsewhere the network runs on the condition alone.
            Kynkäänniemi et al. 2024 (they state it in noise levels).
        negative: What to move away from: the null condition or that of a negative prompt. Needed if scale is not 1.
        curve: Scales at places of the way, measured as the interval is, with straight lines between them; before the
            first and after the last place theirs holds. Empty: ``scale`` everywhere.
        box: Left, top, right and bottom as shares of the image. Cells whose middle lies outside are guided with
            ``outside`` instead.
        outside: Scale there.

    Raises:
        RequestError: If a value is out of range, or the negative condition is missing.
    """

    scale: float = setting(
        1.0, minimum=0.0, maximum=MAX_SCALE, step=0.5, help="1: follow the condition; more: exaggerate it."
    )
    rescale: float = setting(0.0, minimum=0.0, maximum=1.0, step=0.05, help="Counters over-saturation at high scales.")
    interval: tuple[float, float] = setting(
        (0.0, 1.0), minimum=0.0, maximum=1.0, step=0.05, help="Part of the way, from noise to image, with guidance."
    )
    negative: Conditioning | None = None
    curve: tuple[tuple[float, float], ...] = ()
    box: tuple[float, float, float, float] = setting(WHOLE_IMAGE, minimum=0.0, maximum=1.0, help="Where it acts.")
    outside: float = setting(1.0, minimum=0.0, maximum=MAX_SCALE, step=0.5, help="Scale outside of the box.")

    def __post_init__(self) -> None:
        check(self, error=RequestError)
        check_curve(self.curve, name="curve")
        check_box(self.box, name="box")
        if self.interval[0] > self.interval[1]:
            raise RequestError(f"interval is {self.interval}; its first number must not be above the second")
        if self._exaggerated and self.negative is None:
            raise RequestError(
                f"guidance scale is {max(self._exaggerated)}, which needs a negative condition to move away from; "
                "give the null condition, or scale 1"
            )

    def acts_at(self, t: Tensor, num_train_steps: int) -> list[bool]:
        """For each step of ``t`` (S,), whether guidance changes the prediction there."""
        start, stop = self.interval
        outside = 1.0 if self.box == WHOLE_IMAGE else self.outside
        return [
            start <= place <= stop and (self.scale_at(place) != 1.0 or outside != 1.0)
            for place in _places(t, num_train_steps)
        ]

    def scale_at(self, place: float) -> float:
        """The scale at a place of the way, from 0 (noise) to 1 (image), inside of the box."""
        if not self.curve:
            return self.scale
        places, scales = zip(*self.curve, strict=True)
        return float(np.interp(place, places, scales))

    def scales(self, t: Tensor, num_train_steps: int, shape: Sequence[int]) -> list[float | Tensor]:
        """The scale of each step of ``t`` (S,): a number, or with a box one for each cell of latents of a shape."""
        each = [self.scale_at(place) for place in _places(t, num_train_steps)]
        if self.box == WHOLE_IMAGE:
            return list(each)
        inside = _inside(self.box, shape[-2:])
        return [torch.where(inside, scale, self.outside) for scale in each]

    @property
    def _exaggerated(self) -> set[float]:
        """Scales other than 1 that occur."""
        inside = {scale for _, scale in self.curve} or {self.scale}
        return (inside | ({self.outside} if self.box != WHOLE_IMAGE else set())) - {1.0}

    def bind(self, model: Denoiser, cond: "Condition", timesteps: Tensor) -> Denoise:
        """See ``bind_guided``."""
        return bind_guided(model, cond, timesteps, self)


@runtime_checkable
class Guide(Protocol):
    """What the walk asks for predictions: plain ``Guidance``, or something around it."""

    def bind(self, model: Denoiser, cond: "Condition", timesteps: Tensor) -> Denoise:
        """Bind a model to its condition for the steps of a walk (S,); the result predicts at one of them."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ConditionSchedule:
    """Conditions that hold one after the other; stands wherever the walk takes a condition.

    Attributes:
        conditions: Of one batch size.
        starts: From which share of the walk's steps each holds; the first is 0, and they rise. Share k / n is step k of
            n, counted from 0, also where a sampler visits a step twice.

    Raises:
        RequestError: If starts and conditions do not belong together.
    """

    conditions: tuple[Conditioning, ...]
    starts: tuple[float, ...]

    def __post_init__(self) -> None:
        rising = all(one < next_one for one, next_one in pairwise((*self.starts, 1.0)))
        if len(self.starts) != len(self.conditions) or self.starts[:1] != (0.0,) or not rising:
            raise RequestError(
                f"{len(self.conditions)} conditions start at {self.starts}; "
                "give one share for each, the first 0, each larger than the one before and below 1"
            )
        if len({cond.batch_size for cond in self.conditions}) > 1:
            sizes = [cond.batch_size for cond in self.conditions]
            raise RequestError(f"the conditions of a schedule have the batch sizes {sizes}; they must agree")

    @property
    def batch_size(self) -> int:
        """Number of images."""
        return self.conditions[0].batch_size

    def places(self, timesteps: Tensor) -> list[int]:
        """Which condition holds at each position of the walk (S,)."""
        is_new = torch.ones(len(timesteps), dtype=torch.long)
        is_new[1:] = timesteps[1:] != timesteps[:-1]
        steps = is_new.cumsum(0) - 1
        shares = steps.double() / (steps[-1] + 1)
        return [bisect_right(self.starts, share + ROUNDING) - 1 for share in shares.tolist()]


Condition = Conditioning | ConditionSchedule | None


def bind_guided(model: Denoiser, cond: Condition, timesteps: Tensor, guidance: Guidance) -> Denoise:
    """Bind a model to a condition and its negative; the result has the signature of ``model.bind``'s.

    Where guidance acts, both conditions are evaluated jointly (copies=2, negative first), elsewhere only ``cond``. Of a
    schedule of conditions, each is bound once.

    Args:
        model: Network with its schedule.
        cond: Condition of each image, or None for an unconditional model.
        timesteps: Steps of the walk. (S,)
        guidance: How to combine.

    Raises:
        RequestError: If there is guidance but no condition, or one negative condition an image is not given.
    """
    if not isinstance(cond, ConditionSchedule):
        return _bind_guided(model, cond, timesteps, guidance)
    places = cond.places(timesteps)
    bound = {place: _bind_guided(model, cond.conditions[place], timesteps, guidance) for place in set(places)}
    return lambda z_t, index: bound[places[index]](z_t, index)


def check_curve(curve: tuple[tuple[float, float], ...], *, name: str) -> None:
    """Refuse a curve of guidance whose places do not rise from 0 to 1, or whose scales are out of range.

    Raises:
        RequestError: With what is wrong.
    """
    places = [place for place, _ in curve]
    if any(not 0.0 <= place <= 1.0 for place in places) or any(one >= other for one, other in pairwise(places)):
        raise RequestError(f"{name} has the places {places}; they must rise and lie from 0 (noise) to 1 (image)")
    wrong = [scale for _, scale in curve if not 0.0 <= scale <= MAX_SCALE]
    if wrong:
        raise RequestError(f"{name} has the scale {wrong[0]}; it must be from 0.0 to {MAX_SCALE}")


def check_box(box: tuple[float, float, float, float], *, name: str) -> None:
    """Refuse a box without an inside.

    Raises:
        RequestError: With the box.
    """
    if not (box[0] < box[2] and box[1] < box[3]):
        raise RequestError(f"{name} is {box}; give left, top, right and bottom, left below right and top below bottom")


def guide(negative: Tensor, positive: Tensor, *, scale: float | Tensor, rescale: float = 0.0) -> Tensor:
    """Move from the negative prediction through the positive one and beyond.

    negative + scale (positive - negative): Ho & Salimans 2022, eq. 6, with scale = w + 1. The conversions between eps,
    z_0 and v are linear, so it is the same on any of them. The rescaling is eqs. 15 and 16 of Lin et al. 2023.

    Args:
        negative: Prediction under the negative condition. (B, C, h, w)
        positive: Prediction under the condition. (B, C, h, w)
        scale: 1 gives ``positive``, 0 gives ``negative``; one for all, or for each cell. (h, w)
        rescale: 0 leaves the spread as it comes, 1 gives each image the spread of ``positive``.

    Returns:
        The guided prediction. (B, C, h, w)
    """
    guided = negative + scale * (positive - negative)
    if rescale == 0.0:
        return guided
    axes = tuple(range(1, guided.ndim))
    factor = positive.std(axes, keepdim=True) / guided.std(axes, keepdim=True)  # (B, 1, 1, 1)
    return guided * (rescale * factor + (1.0 - rescale))


def _bind_guided(model: Denoiser, cond: Conditioning | None, timesteps: Tensor, guidance: Guidance) -> Denoise:
    acts = guidance.acts_at(timesteps, len(model.schedule))
    predictors: dict[bool, Denoise] = {}
    if not all(acts):
        predictors[False] = _bind(model, cond, timesteps, copies=1)
    if any(acts):
        predictors[True] = _guided(_bind(model, _pair(guidance, cond), timesteps, copies=2), guidance, model, timesteps)
    return lambda z_t, index: predictors[acts[index]](z_t, index)


def _bind(model: Denoiser, cond: Conditioning | None, timesteps: Tensor, *, copies: int) -> Denoise:
    """The network sees its own dtype, the caller gets back that of z_t."""
    denoise = model.bind(cond, timesteps, copies=copies)
    return lambda z_t, index: denoise(z_t.to(model.dtype), index).to(z_t.dtype)


def _guided(denoise: Denoise, guidance: Guidance, model: Denoiser, timesteps: Tensor) -> Denoise:
    def predict(z_t: Tensor, index: int) -> Tensor:
        negative, positive = denoise(z_t, index).chunk(2)
        (scale,) = guidance.scales(timesteps[index : index + 1], len(model.schedule), z_t.shape)
        scale = scale.to(positive) if isinstance(scale, Tensor) else scale
        return guide(negative, positive, scale=scale, rescale=guidance.rescale)

    return predict


def _places(t: Tensor, num_train_steps: int) -> list[float]:
    """How far on the way steps (S,) are, from 0 (noise) to 1 (image)."""
    return (1.0 - t.double() / (num_train_steps - 1)).tolist()


def _inside(box: tuple[float, float, float, float], size: Sequence[int]) -> Tensor:
    """Cells of a latent whose middle lies in a box. bool (h, w)"""
    rows, columns = (((torch.arange(count) + 0.5) / count) for count in size)
    left, top, right, bottom = box
    return ((top <= rows) & (rows <= bottom))[:, None] & ((left <= columns) & (columns <= right))[None]


def _pair(guidance: Guidance, cond: Conditioning | None) -> Conditioning:
    """[negative of all images, condition of all images]."""
    negative = guidance.negative
    if cond is None or negative is None:
        raise RequestError(f"guidance scale is {guidance.scale}, but this model is given no condition; use scale 1")
    if negative.batch_size != cond.batch_size:
        raise RequestError(
            f"there are {negative.batch_size} negative conditions for {cond.batch_size} conditions; give one an image"
        )
    return Conditioning.cat([negative, cond])
