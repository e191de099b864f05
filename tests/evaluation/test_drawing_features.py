"""Drawings are alike wherever they stand, and unlike others."""

import pytest
import torch
import torch.nn.functional as F

from ldm_lab.evaluation.drawing_features import SCALES, drawing_features, ink_window


def rectangle(left, top, width, height, *, color=(-1.0, -1.0, -1.0), size=64):
    x = torch.ones(1, 3, size, size)
    x[:, :, top : top + height, left : left + width] = torch.tensor(color)[:, None, None]
    return x


def distance(x, other):
    return torch.dist(drawing_features(x), drawing_features(other)).item()


def test_place_and_size_do_not_matter_and_shape_and_colour_do():
    x = rectangle(10, 12, 20, 28)
    assert distance(x, rectangle(33, 29, 20, 28)) < 1e-4
    assert distance(x, rectangle(8, 4, 40, 56)) < 0.1  # the edges of both are as sharp, so the larger one's are finer
    assert distance(x, rectangle(10, 12, 28, 20)) > 0.4
    assert distance(x, rectangle(10, 12, 20, 28, color=(1.0, -1.0, -1.0))) > 0.4


def test_the_window_is_as_wide_as_said():
    """A square of side 1 has a spread of sqrt(1/6), so the window has a side of 4 sqrt(1/6), which it fills to 61 %."""
    (window,) = ink_window(rectangle(20, 8, 24, 24))
    assert ((1 - window[0]) / 2).mean().item() == pytest.approx((4 * (1 / 6) ** 0.5) ** -2, abs=0.01)


def test_distances_are_root_mean_squares():
    black = rectangle(16, 16, 32, 32)
    gray = rectangle(16, 16, 32, 32, color=(0.0, 0.0, 0.0))
    windows = [F.adaptive_avg_pool2d(ink_window(x), side) for side in SCALES for x in (black, gray)]
    mean = torch.stack([F.mse_loss(*windows[:2]), F.mse_loss(*windows[2:])]).mean()
    assert distance(black, gray) == pytest.approx(mean.sqrt().item(), rel=1e-4)


def test_noise_on_the_ground_does_not_move_the_window():
    x = rectangle(4, 6, 30, 30)
    noise = 0.05 * torch.rand(x.shape, generator=torch.Generator().manual_seed(0))
    assert distance(x, x - noise) < 0.05


def test_images_do_not_depend_on_their_neighbours():
    x = torch.cat([rectangle(4, 6, 30, 30), rectangle(20, 30, 10, 20)])
    torch.testing.assert_close(drawing_features(x)[1:], drawing_features(x[1:]))


def test_a_blank_image_has_features():
    assert drawing_features(torch.ones(1, 3, 16, 16)).isfinite().all()
