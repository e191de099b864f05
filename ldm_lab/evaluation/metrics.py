"""How close reconstructions are to their originals.

Images are in [-1, 1]; a reconstruction is clamped to that range first, because no picture shows what lies beyond it.
"""

import numpy as np
import torch
from torch import Tensor

from ldm_lab.core.errors import MissingDependencyError, ShapeError

PEAK = 2.0  # the range of images in [-1, 1]


def mean_squared_errors(x: Tensor, x_hat: Tensor) -> Tensor:
    """Mean squared error of each image, in fp64 so that it is exact to the last bit shown. (B, 3, H, W) twice → (B,)

    Raises:
        ShapeError: If the shapes differ.
    """
    _check_shapes(x, x_hat)
    return (x_hat.clamp(-1, 1).double() - x.double()).square().flatten(1).mean(1)


def decibels(error: Tensor) -> Tensor:
    """Mean squared errors as PSNR: 10 log10(2² / error); infinite where there is none."""
    return 10 * torch.log10(PEAK**2 / error)


def psnr(x: Tensor, x_hat: Tensor) -> Tensor:
    """Peak signal-to-noise ratio of each image in dB. (B, 3, H, W) twice → (B,)

    The mean of this over images is what papers report; the PSNR of the mean error is lower (Jensen), and the bad images
    weigh more in it.
    """
    return decibels(mean_squared_errors(x, x_hat))


def ssim(x: Tensor, x_hat: Tensor) -> Tensor:
    """Structural similarity of each image, 1 if equal. (B, 3, H, W) twice → (B,)

    Wang et al. 2004, eq. 13, with the Gaussian window of 11 pixels and σ = 1.5 of its section III.C, by scikit-image;
    averaged over channels. Computed on [0, 1], because its comparison of brightness is meant for positive values.

    Raises:
        ShapeError: If the shapes differ, or images are smaller than the window.
        MissingDependencyError: If scikit-image is not installed.
    """
    _check_shapes(x, x_hat)
    if min(x.shape[2:]) < 11:
        raise ShapeError(
            f"images have {tuple(x.shape[2:])} pixels; SSIM looks through a window of 11, give larger ones"
        )
    try:
        from skimage.metrics import structural_similarity
    except ImportError as error:
        raise MissingDependencyError(f"SSIM needs scikit-image ({error}); pip install 'ldm-lab[metrics]'") from error
    settings = {"channel_axis": 0, "data_range": 1.0, "gaussian_weights": True, "sigma": 1.5}
    pairs = zip(_to_unit_range(x), _to_unit_range(x_hat), strict=True)
    return torch.tensor([structural_similarity(*pair, use_sample_covariance=False, **settings) for pair in pairs])


def _to_unit_range(x: Tensor) -> np.ndarray:
    return (x.clamp(-1, 1).double().cpu().numpy() + 1.0) / PEAK


def _check_shapes(x: Tensor, x_hat: Tensor) -> None:
    if x.ndim != 4 or x.shape != x_hat.shape:
        raise ShapeError(f"images have shapes {tuple(x.shape)} and {tuple(x_hat.shape)}; give two batches of one shape")
