"""Ways between two points: of noise, of latents, of conditions."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from ldm_lab.conditioning import Conditioning
from ldm_lab.core.errors import RequestError, ShapeError
from ldm_lab.core.seeding import sample_noise

FLAT = 1e-3  # sine of an angle below which a straight line is taken; it differs from the arc by its square


def slerp(first: Tensor, second: Tensor, share: float, *, axes: Sequence[int] | None = None) -> Tensor:
    """Go along the great circle from one vector to another: spherical linear interpolation, Shoemake 1985.

    Between two draws of noise every point of the way has the length of noise; on the straight line those in the middle
    would be too short, and the images dull. Vectors that point the same or opposite ways are joined by the straight
    line.

    Args:
        first: (B, ...)
        second: Of the same shape.
        share: 0 gives ``first`` and 1 gives ``second``, bit for bit.
        axes: What makes up one vector; None: everything but the batch.

    Raises:
        RequestError: If ``share`` is not from 0 to 1.
        ShapeError: If the shapes differ.
    """
    _check_share("share", share)
    if first.shape != second.shape:
        raise ShapeError(f"the ends have shapes {tuple(first.shape)} and {tuple(second.shape)}; they must be equal")
    axes = tuple(range(1, first.ndim)) if axes is None else tuple(axes)
    lengths = [torch.linalg.vector_norm(end, dim=axes, keepdim=True) for end in (first, second)]
    product = (lengths[0] * lengths[1]).clamp(min=torch.finfo(first.dtype).tiny)
    angle = ((first * second).sum(axes, keepdim=True) / product).clamp(-1.0, 1.0).acos()
    sine = angle.sin()
    is_flat = sine < FLAT
    weights = [
        torch.where(is_flat, part, (part * angle).sin() / torch.where(is_flat, 1.0, sine))
        for part in (1.0 - share, share)
    ]
    return weights[0] * first + weights[1] * second


def lerp(first: Tensor, second: Tensor, share: float) -> Tensor:
    """Go along the straight line. In the middle between two draws of noise it is shorter by the root of 2.

    Args:
        first: (B, ...)
        second: Of the same shape.
        share: From 0 to 1.

    Raises:
        RequestError: If ``share`` is not from 0 to 1.
    """
    _check_share("share", share)
    return torch.lerp(first, second, share)


def circle(first: Tensor, second: Tensor, share: float) -> Tensor:
    """Go once around: cos(2 pi share) first + sin(2 pi share) second; a quarter of the way is ``second``.

    Draws of noise are nearly orthogonal and of nearly one length, so that every point is as long as noise; half of the
    way is the first draw with its sign turned.

    Raises:
        RequestError: If ``share`` is not from 0 to 1.
    """
    _check_share("share", share)
    angle = 2.0 * math.pi * share
    return math.cos(angle) * first + math.sin(angle) * second


def slerp_conditions(first: Conditioning, second: Conditioning, share: float) -> Conditioning:
    """``slerp`` of every token, every vector, and every map as a whole.

    Raises:
        RequestError: If ``share`` is not from 0 to 1.
        ShapeError: If the conditions hold different parts, or parts of different shapes.
    """
    ends = first.parts(), second.parts()
    if ends[0].keys() != ends[1].keys():
        raise ShapeError(f"the conditions hold {', '.join(ends[0])} and {', '.join(ends[1])}; they must hold the same")
    axes = {"context": (-1,), "vector": (-1,), "concat": None}
    parts = {name: slerp(part, ends[1][name], share, axes=axes[name]) for name, part in ends[0].items()}
    return Conditioning(**parts)


def vary(noise: Tensor, seeds: Sequence[int], *, amount: float) -> Tensor:
    """Turn noise towards other noise, that of ``seeds``: variations of the image that it leads to.

    Args:
        noise: That of an image, z_T from its seed or from ``invert_steps``. (B, C, h, w)
        seeds: One for each image.
        amount: 0 gives ``noise`` itself, 1 noise that has nothing to do with it.

    Raises:
        RequestError: If ``amount`` is not from 0 to 1, or there is not one seed for each image.
    """
    _check_share("amount", amount)
    if len(seeds) != len(noise):
        raise RequestError(f"there are {len(seeds)} seeds for {len(noise)} latents; give one an image")
    return slerp(noise, sample_noise(noise.shape[1:], seeds, stream="variation").to(noise), amount)


def _check_share(name: str, value: float) -> None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not math.isfinite(value) or not 0.0 <= value <= 1.0:
        raise RequestError(f"{name} is {value!r}; it must be a number from 0 to 1")
