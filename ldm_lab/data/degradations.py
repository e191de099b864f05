"""From a picture to a smaller, worse one: what super-resolution is trained on, and judged against.

``bicubic`` is the clean way down; ``practical`` also blurs, adds noise and compresses, in random order: BSRGAN (Zhang
et al. 2021, "Designing a Practical Degradation Model for Deep Blind Image Super-Resolution"), section 3. Its ranges are
those of the authors' code, without the camera's processing, which needs a model of its own.
"""

import math
import random
from collections.abc import Callable, Sequence
from io import BytesIO
from typing import Literal

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from ldm_lab.core.errors import ShapeError
from ldm_lab.core.images import to_pil, to_tensor
from ldm_lab.core.seeding import derive_seed, generator
from ldm_lab.data.draws import pick, shuffled

Degradation = Literal["bicubic", "practical"]

_HALVE_FIRST = 0.25  # chance of a clean halving before everything else
_KERNEL_SIDES = range(7, 26, 2)
_NOISE = (2 / 255, 25 / 255)  # standard deviations for pixels from 0 to 1
_JPEG_QUALITY = (30, 95)
_JPEG_CHANCE = 0.9  # of the compression in the midst; the one at the end is certain
_RESIZINGS = ("bilinear", "bicubic", "area")


def resize_bicubic(x: Tensor, *, width: int, height: int) -> Tensor:
    """Bicubic resizing with antialiasing, as PIL does it, clamped to [-1, 1]. (B, 3, H, W) → (B, 3, height, width)"""
    return F.interpolate(x, size=(height, width), mode="bicubic", antialias=True).clamp(-1.0, 1.0)


def bicubic(x: Tensor, *, factor: int = 4) -> Tensor:
    """Images ``factor`` times smaller on each side. (B, 3, H, W) in [-1, 1] → (B, 3, H/factor, W/factor)

    Raises:
        ShapeError: If a side is no multiple of the factor.
    """
    height, width = x.shape[-2:]
    _check_divisible(width, height, factor)
    return resize_bicubic(x, width=width // factor, height=height // factor)


def practical(image: Tensor, *, seed: int, factor: int = 4) -> Tensor:
    """One image blurred twice, resized, made noisy and compressed, in an order that the seed draws.

    Args:
        image: In [-1, 1]. (3, H, W)
        seed: The same seed gives the same degradation.
        factor: How many times smaller each side becomes.

    Returns:
        In [-1, 1], as a decoded JPEG of 8 bits is. (3, H/factor, W/factor)

    Raises:
        ShapeError: If a side is no multiple of the factor.
    """
    height, width = image.shape[-2:]
    _check_divisible(width, height, factor)
    rng = random.Random(derive_seed("degradation", seed))  # only .random(): stable between Python versions
    noise = generator("degradation noise", seed)
    x = image[None]
    scale = float(factor)
    if factor % 2 == 0 and rng.random() < _HALVE_FIRST:
        x, scale = _resize(rng, x, width // 2, height // 2), factor / 2
    for step in _shuffled_steps(rng, x, (width // factor, height // factor), scale=scale, noise=noise):
        x = step(x)
    return _compress(rng, x)[0]


def _shuffled_steps(
    rng: random.Random, x: Tensor, final: tuple[int, int], *, scale: float, noise: torch.Generator
) -> list[Callable[[Tensor], Tensor]]:
    """The six steps in random order, save that the resizing to the final size comes after the one to any size."""
    shrink = 1 + (2 * scale - 1) * rng.random()
    between = tuple(max(1, int(side / shrink)) for side in (x.shape[3], x.shape[2]))
    steps: dict[str, Callable[[Tensor], Tensor]] = {
        "round blur": lambda x: _blur(x, _round_kernel(rng, scale)),
        "slanted blur": lambda x: _blur(x, _slanted_kernel(rng, scale)),
        "resize": lambda x: _resize(rng, x, *between),
        "resize to the end": lambda x: _resize(rng, x, *final),
        "noise": lambda x: _add_noise(rng, x, noise),
        "compress": lambda x: _compress(rng, x) if rng.random() < _JPEG_CHANCE else x,
    }
    order = shuffled(rng, list(steps))
    first, last = sorted((order.index("resize"), order.index("resize to the end")))
    order[first], order[last] = "resize", "resize to the end"
    return [steps[name] for name in order]


def _round_kernel(rng: random.Random, scale: float) -> Tensor:
    """Isotropic Gaussian of standard deviation up to 2 + scale/5 pixels. (k, k)"""
    variance = max(1e-3, (2 + 0.2 * scale) * rng.random()) ** 2
    return _gaussian_kernel(pick(rng, _KERNEL_SIDES), (variance, variance), angle=0.0)


def _slanted_kernel(rng: random.Random, scale: float) -> Tensor:
    """Gaussian with variances up to 4 + scale along two axes in any direction. (k, k)"""
    variances = tuple(max(1e-3, (4 + scale) * rng.random()) for _ in range(2))
    return _gaussian_kernel(pick(rng, _KERNEL_SIDES), variances, angle=math.pi * rng.random())


def _gaussian_kernel(side: int, variances: Sequence[float], *, angle: float) -> Tensor:
    """Weights of a centred Gaussian whose first axis is turned by ``angle``; they sum to one. (side, side)"""
    places = torch.arange(side, dtype=torch.float32) - side // 2
    y, x = places[:, None], places[None, :]
    along, across = x * math.cos(angle) + y * math.sin(angle), y * math.cos(angle) - x * math.sin(angle)
    weights = torch.exp(-0.5 * (along**2 / variances[0] + across**2 / variances[1]))
    return weights / weights.sum()


def _blur(x: Tensor, kernel: Tensor) -> Tensor:
    """Convolve every channel; pixels beyond the border are those nearest to it. (1, 3, H, W) → (1, 3, H, W)"""
    channels, reach = x.shape[1], kernel.shape[0] // 2
    padded = F.pad(x, (reach, reach, reach, reach), mode="replicate")
    return F.conv2d(padded, kernel.expand(channels, 1, -1, -1).to(x), groups=channels)


def _resize(rng: random.Random, x: Tensor, width: int, height: int) -> Tensor:
    """To any size, in one of three ways; two of them do not antialias, as in the authors' code."""
    mode = pick(rng, _RESIZINGS)
    return F.interpolate(x, size=(height, width), mode=mode).clamp(-1.0, 1.0)


def _add_noise(rng: random.Random, x: Tensor, noise: torch.Generator) -> Tensor:
    """Gaussian noise: of its own in each channel, the same in all, or correlated, with 40, 40 and 20 % chance."""
    kind, level = rng.random(), 2 * (_NOISE[0] + (_NOISE[1] - _NOISE[0]) * rng.random())  # 2: pixels span [-1, 1]
    height, width = x.shape[-2:]
    if kind < 0.4:
        drawn = level * torch.randn((1, 1, height, width), generator=noise)
    elif kind < 0.6:
        mix = torch.linalg.qr(torch.randn((3, 3), generator=noise))[0] * torch.rand((3, 1), generator=noise).sqrt()
        drawn = 2 * _NOISE[1] * torch.einsum("bchw,cd->bdhw", torch.randn((1, 3, height, width), generator=noise), mix)
    else:
        drawn = level * torch.randn(x.shape, generator=noise)
    return (x + drawn.to(x)).clamp(-1.0, 1.0)


def _compress(rng: random.Random, x: Tensor) -> Tensor:
    """To JPEG and back."""
    low, high = _JPEG_QUALITY
    buffer = BytesIO()
    to_pil(x)[0].save(buffer, "JPEG", quality=low + int(rng.random() * (high - low + 1)))
    return to_tensor(Image.open(buffer).convert("RGB")).to(x)


def _check_divisible(width: int, height: int, factor: int) -> None:
    if width % factor or height % factor:
        raise ShapeError(
            f"an image of {width} x {height} pixels cannot be made {factor} times smaller; crop it to multiples of "
            f"{factor}"
        )
