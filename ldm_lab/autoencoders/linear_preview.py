"""What a latent looks like without a decoder: each cell a colour, by one matrix.

A first stage keeps the layout of the picture, so that a cell of the latent tells most of the mean colour of its f × f
pixels. The matrix is fitted by least squares. To use it takes a fraction of a millisecond: images can be watched as
they come.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from ldm_lab.core.config import check
from ldm_lab.core.errors import ConfigError, ShapeError

if TYPE_CHECKING:
    from ldm_lab.autoencoders.autoencoder import Autoencoder


@dataclass(frozen=True, kw_only=True, slots=True)
class LinearPreview:
    """Raw latents → colours.

    Attributes:
        weight: Of each channel of the latent, what a unit of it adds to red, green and blue in [-1, 1].
        bias: The colour of a cell of zeros.
    """

    weight: tuple[tuple[float, float, float], ...]
    bias: tuple[float, float, float]

    def __post_init__(self) -> None:
        check(self)
        numbers = (*self.bias, *(number for row in self.weight for number in row))
        if not self.weight or not all(map(math.isfinite, numbers)):
            raise ConfigError("a linear preview has a finite number for each colour of each channel; fit it again")

    def apply(self, z_raw: Tensor) -> Tensor:
        """Raw latents (B, C, h, w) → images (B, 3, h, w), about [-1, 1] but not clamped, in fp32.

        Raises:
            ShapeError: If the latents have other channels than those it was fitted to.
        """
        if z_raw.ndim != 4 or z_raw.shape[1] != len(self.weight):
            raise ShapeError(
                f"latents have shape {tuple(z_raw.shape)}; this preview reads (batch, {len(self.weight)}, height, "
                "width)"
            )
        weight, bias = (torch.tensor(x, dtype=torch.float32, device=z_raw.device) for x in (self.weight, self.bias))
        return torch.einsum("bchw,cr->brhw", z_raw.float(), weight) + bias[:, None, None]


@torch.no_grad()
def fit_linear_preview(autoencoder: "Autoencoder", batches: Iterable[Tensor]) -> LinearPreview:
    """Fit a preview to a first stage.

    Least squares from the cells of latents to the mean colour of their pixels, with a bias, in fp64.

    Args:
        autoencoder: In evaluation mode.
        batches: Images in [-1, 1] such as it was trained on; a few dozen are enough. (B, 3, H, W) each

    Raises:
        ConfigError: If its images are not RGB, or there are fewer cells than unknowns.
    """
    if autoencoder.config.image_channels != 3:
        raise ConfigError(f"a preview is in RGB, but this first stage has {autoencoder.config.image_channels} channels")
    cells, colours = (torch.cat(parts) for parts in zip(*(_pairs(autoencoder, x) for x in batches), strict=True))
    unknowns = torch.cat([cells, cells.new_ones(len(cells), 1)], dim=1)  # (N, C + 1)
    if len(unknowns) < unknowns.shape[1]:
        raise ConfigError(f"{len(unknowns)} cells are too few for {unknowns.shape[1]} unknowns; give more images")
    *weight, bias = torch.linalg.lstsq(unknowns, colours).solution.tolist()  # (C + 1, 3)
    return LinearPreview(weight=tuple(map(_triple, weight)), bias=_triple(bias))


def _pairs(autoencoder: "Autoencoder", x: Tensor) -> tuple[Tensor, Tensor]:
    """Cells of the latents, and the colours of their pixels. fp64 (N, C) and (N, 3) on the CPU"""
    parameter = next(autoencoder.parameters())
    z_raw = autoencoder.encode(x.to(parameter)).mode()  # (B, C, h, w)
    colours = F.adaptive_avg_pool2d(x, z_raw.shape[2:])  # (B, 3, h, w)
    return tuple(part.movedim(1, 3).flatten(0, 2).double().cpu() for part in (z_raw, colours))


def _triple(row: list[float]) -> tuple[float, float, float]:
    red, green, blue = row
    return red, green, blue
