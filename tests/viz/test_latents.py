import numpy as np
import pytest
import torch

from ldm_lab.core.errors import ShapeError
from ldm_lab.viz import channel_images, channel_limits, principal_colors
from ldm_lab.viz.colors import NOT_A_NUMBER


def latent(channels=4):
    return torch.randn(channels, 6, 5, generator=torch.Generator().manual_seed(0))


def test_each_channel_is_a_picture():
    images = channel_images(latent(), scale=3)
    assert [image.size for image in images] == [(15, 18)] * 4


def test_a_common_limit_makes_channels_comparable_and_an_own_one_fills_the_range():
    z = torch.stack([latent()[0], 0.1 * latent()[0]])
    own, common = channel_images(z), channel_images(z, limit=3.0)
    assert own[0].tobytes() == own[1].tobytes()
    assert common[0].tobytes() != common[1].tobytes()


def test_a_bad_number_does_not_spoil_the_others():
    z = latent()
    spoilt = z.clone()
    spoilt[0, 0, 0] = float("inf")
    before, after = (channel_images(each, scale=1)[0] for each in (z, spoilt))
    assert after.getpixel((0, 0)) == NOT_A_NUMBER
    assert after.getpixel((1, 1)) == before.getpixel((1, 1))


def test_components_do_not_depend_on_the_order_of_channels():
    z = latent()
    first, second = (np.asarray(principal_colors(each), dtype=int) for each in (z, z[[2, 0, 3, 1]]))
    assert np.abs(first - second).max() <= 1


def test_like_places_have_like_colours():
    z = torch.zeros(4, 4, 4)
    z[:, :, 2:] = torch.tensor([1.0, -2.0, 0.5, 0.3])[:, None, None]
    picture = principal_colors(z, scale=1)
    assert picture.getpixel((0, 0)) == picture.getpixel((1, 3))
    assert picture.getpixel((0, 0)) != picture.getpixel((2, 0))


@pytest.mark.parametrize("channels", [1, 2, 16])
def test_any_number_of_channels(channels):
    assert principal_colors(latent(channels), scale=2).size == (10, 12)
    assert principal_colors(torch.zeros(channels, 3, 3), scale=1).getpixel((0, 0)) == (128, 128, 128)


@pytest.mark.parametrize("view", [channel_images, principal_colors])
def test_a_batch_is_refused(view):
    with pytest.raises(ShapeError, match=r"shape \(1, 4, 6, 5\); expected one latent"):
        view(latent()[None])


def test_limits_are_the_largest_finite_magnitudes():
    z = torch.tensor([[[1.0, -3.0]], [[torch.nan, torch.inf]], [[0.0, 0.0]]])
    assert channel_limits(z) == [3.0, 1.0, 1e-6]
    assert channel_limits(torch.stack([z, -2 * z])) == [6.0, 1.0, 1e-6]
    with pytest.raises(ShapeError, match=r"shape \(1, 2\); expected latents"):
        channel_limits(torch.zeros(1, 2))
