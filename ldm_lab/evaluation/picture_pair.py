"""How far two pictures are apart: for the eye, and where."""

from dataclasses import dataclass
from functools import cache

import torch
from PIL import Image
from torch import Tensor, nn

from ldm_lab.autoencoders.perceptual import load_lpips
from ldm_lab.core.errors import MissingDependencyError, ShapeError
from ldm_lab.core.images import to_tensor
from ldm_lab.evaluation.metrics import psnr, ssim

SSIM_WINDOW = 11


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class PictureDistance:
    """How far two pictures are apart.

    Attributes:
        psnr: In dB; infinite if they are equal.
        ssim: 1 if they are equal; None for pictures smaller than its window, or without scikit-image.
        lpips_map: LPIPS at every pixel; None without its weights. (H, W)
        missing: What was not there to measure with, one sentence each.
    """

    psnr: float
    ssim: float | None
    lpips_map: Tensor | None
    missing: tuple[str, ...]

    @property
    def lpips(self) -> float | None:
        """The mean of the map, which LPIPS itself is up to the rounding of its enlargement."""
        return None if self.lpips_map is None else self.lpips_map.mean().item()


def picture_distance(first: Image.Image, second: Image.Image) -> PictureDistance:
    """Compare two RGB pictures.

    Raises:
        ShapeError: If the sizes differ.
    """
    if first.size != second.size:
        raise ShapeError(f"the pictures are {first.size} and {second.size} pixels large; choose two of one size")
    x, x_hat = to_tensor(first), to_tensor(second)
    lpips_map, structure, missing = None, None, []
    try:
        lpips_map = perceptual_map(x, x_hat)
    except MissingDependencyError as error:
        missing.append(str(error))
    try:
        structure = ssim(x, x_hat).item() if min(first.size) >= SSIM_WINDOW else None
    except MissingDependencyError as error:
        missing.append(str(error))
    return PictureDistance(psnr=psnr(x, x_hat).item(), ssim=structure, lpips_map=lpips_map, missing=tuple(missing))


@torch.no_grad()
def perceptual_map(x: Tensor, x_hat: Tensor) -> Tensor:
    """LPIPS (Zhang et al. 2018, eq. 1) before its mean over places: the sum over layers, each enlarged to the picture.

    Args:
        x: An image in [-1, 1]. (1, 3, H, W)
        x_hat: Of the same shape.

    Returns:
        (H, W)

    Raises:
        MissingDependencyError: If the package or its VGG16 weights are not there.
    """
    return _spatial_lpips()(x, x_hat)[0, 0]


@cache
def _spatial_lpips() -> nn.Module:
    network = load_lpips().eval()
    network.spatial = True
    return network
