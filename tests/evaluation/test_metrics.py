import math

import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio

from ldm_lab.core.errors import ShapeError
from ldm_lab.evaluation.metrics import decibels, mean_squared_errors, psnr, ssim


@pytest.fixture
def x():
    return torch.rand(3, 3, 24, 16, generator=torch.Generator().manual_seed(0)) * 1.6 - 0.8


def test_psnr_of_a_constant_error_is_known(x):
    """(2 / 0.2)² = 100, which is 20 dB; each image has its own."""
    error = torch.tensor([0.2, -0.02, 0.002])[:, None, None, None]
    torch.testing.assert_close(
        psnr(x, x + error), torch.tensor([20.0, 40.0, 60.0], dtype=torch.float64), atol=1e-3, rtol=0
    )


def test_psnr_is_that_of_scikit_image(x):
    x_hat = (x + 0.1 * torch.randn(x.shape, generator=torch.Generator().manual_seed(1))).clamp(-1, 1)
    pairs = zip(x.numpy(), x_hat.numpy(), strict=True)
    expected = torch.tensor([peak_signal_noise_ratio(*pair, data_range=2.0) for pair in pairs], dtype=torch.float64)
    torch.testing.assert_close(psnr(x, x_hat), expected)


def test_what_lies_beyond_the_range_of_a_picture_is_no_error():
    white = torch.ones(1, 3, 16, 16)
    assert mean_squared_errors(white, white * 3).item() == 0.0
    assert decibels(mean_squared_errors(white, white * 3)).item() == math.inf
    assert ssim(white, white * 3).item() == pytest.approx(1.0)
    assert mean_squared_errors(-white, white * 3).item() == 4.0


def test_ssim_of_constant_images_is_known():
    """Without variance, eq. 13 leaves (2 a b + C1) / (a² + b² + C1) with C1 = 0.01², for values in [0, 1]."""
    a, b, c1 = 0.3, 0.5, 0.01**2
    measured = ssim(torch.full((1, 3, 32, 32), 2 * a - 1), torch.full((1, 3, 32, 32), 2 * b - 1)).item()
    assert measured == pytest.approx((2 * a * b + c1) / (a**2 + b**2 + c1), abs=1e-6)


def test_ssim_is_one_for_equal_images_and_falls_with_noise(x):
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(1))
    values = [ssim(x, x + strength * noise).mean().item() for strength in (0.0, 0.1, 0.3)]
    assert values[0] == pytest.approx(1.0)
    assert values[0] > values[1] > values[2]


def test_ssim_sees_structure_where_psnr_does_not(x):
    """A shift of brightness and noise of the same power: equal PSNR, unlike SSIM."""
    noise = 0.1 * torch.sign(torch.randn(x.shape, generator=torch.Generator().manual_seed(1)))
    torch.testing.assert_close(psnr(x, x + 0.1), psnr(x, x + noise), atol=1e-3, rtol=0)
    assert (ssim(x, x + 0.1) > ssim(x, x + noise)).all()


def test_shapes_that_do_not_fit_are_named(x):
    with pytest.raises(ShapeError, match="(3, 3, 24, 16) and (1, 3, 24, 16)".replace("(", r"\(").replace(")", r"\)")):
        psnr(x, x[:1])
    with pytest.raises(ShapeError, match="8, 8"):
        ssim(x[..., :8, :8], x[..., :8, :8])
