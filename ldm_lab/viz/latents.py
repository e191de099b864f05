"""Latents to look at, before any decoder."""

import torch
from PIL import Image
from torch import Tensor

from ldm_lab.core.errors import ShapeError
from ldm_lab.core.images import to_pil
from ldm_lab.viz.colors import DIVERGING, paint

SPREAD = 2.5  # standard deviations that are shown to either side


def channel_images(z: Tensor, *, limit: float | None = None, scale: int = 8) -> list[Image.Image]:
    """Each channel of a latent, white at zero.

    Args:
        z: One latent. (C, h, w)
        limit: What the deepest colours stand for, the same for all channels so that they can be compared; None: the
            largest finite value of each channel.
        scale: Pixels along the side of a latent number.

    Raises:
        ShapeError: If ``z`` is not one latent.
    """
    _check_one(z)
    limits = channel_limits(z) if limit is None else [limit] * len(z)
    return [
        paint(channel, low=-most, high=most, colormap=DIVERGING, scale=scale)
        for channel, most in zip(z, limits, strict=True)
    ]


def principal_colors(z: Tensor, *, scale: int = 8) -> Image.Image:
    """A latent in the colours of its first three principal components: like things look alike, whatever the channels.

    The sign of a component is that which makes its largest weight positive, so that equal latents have equal colours.

    Args:
        z: One latent. (C, h, w)
        scale: Pixels along the side of a latent number.

    Raises:
        ShapeError: If ``z`` is not one latent.
    """
    _check_one(z)
    points = z.float().nan_to_num(0.0, 0.0, 0.0).flatten(1).T.cpu()  # (h w, C)
    points = points - points.mean(0)
    _, _, directions = torch.linalg.svd(points, full_matrices=False)  # (k, C), k = min(h w, C)
    directions = directions[:3]
    largest = directions.gather(1, directions.abs().argmax(1, keepdim=True))
    shares = points @ (directions * largest.sign()).T  # (h w, k)
    reach = (SPREAD * shares[:, :1].std(correction=0)).clamp(min=torch.finfo(shares.dtype).tiny)
    rgb = torch.zeros(3, *z.shape[1:])
    rgb[: shares.shape[1]] = (shares / reach).clamp(-1, 1).T.unflatten(1, z.shape[1:])
    return to_pil(rgb.repeat_interleave(scale, 1).repeat_interleave(scale, 2)[None])[0]


def channel_limits(z: Tensor) -> list[float]:
    """The largest finite magnitude of each channel, at least 1e-6; 1 where nothing is finite. (C, h, w) or (B, C, h, w)

    Raises:
        ShapeError: If these are no latents.
    """
    if z.ndim not in (3, 4):
        raise ShapeError(f"z has shape {tuple(z.shape)}; expected latents (C, h, w) or (B, C, h, w)")
    return [_largest(channel) for channel in z.movedim(-3, 0)]


def _check_one(z: Tensor) -> None:
    if z.ndim != 3:
        raise ShapeError(f"z has shape {tuple(z.shape)}; expected one latent (C, h, w)")


def _largest(channel: Tensor) -> float:
    finite = channel[channel.isfinite()]
    return max(finite.abs().max().item(), 1e-6) if len(finite) else 1.0
