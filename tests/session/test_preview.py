import io

import numpy as np
import pytest
import torch
from PIL import Image

from ldm_lab.autoencoders.linear_preview import LinearPreview
from ldm_lab.core.errors import ConfigError, ImageError
from ldm_lab.session.preview import FrameBudget, draw_latents, encode_frame, linear_preview_of


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


def test_the_budget_lets_so_many_frames_through_a_second():
    clock = Clock()
    budget = FrameBudget(per_second=10.0, clock=clock)
    spent = []
    for tick in range(100):  # every 10 ms, for a second
        clock.now = 100.0 + tick / 100
        if budget.spend():
            spent.append(tick)
    assert spent == list(range(0, 100, 10))


def test_the_budget_is_not_saved_up():
    clock = Clock()
    budget = FrameBudget(per_second=2.0, clock=clock)
    assert budget.spend()
    clock.now += 60.0
    assert [budget.spend() for _ in range(3)] == [True, False, False]


@pytest.mark.parametrize(
    ("count", "size", "factor", "expected", "inside"),
    [
        (1, (16, 16), 4, (64, 64), (32, 32)),
        (4, (16, 16), 4, (134, 134), (33, 33)),
        (64, (16, 16), 4, (256, 256), (16, 16)),
        (1, (64, 64), 8, (256, 256), (128, 128)),
        (2, (100, 20), 8, (256, 26), (64, 13)),
        (1, (600, 3), 1, (256, 1), (128, 0)),
    ],
)
def test_frames_are_jpegs_that_fit(count, size, factor, expected, inside):
    image = Image.open(io.BytesIO(encode_frame([Image.new("RGB", size, (200, 30, 30))] * count, factor=factor)))
    image.load()
    assert (image.format, image.size) == ("JPEG", expected)
    red, green, blue = image.getpixel(inside)  # the first picture, not what lies between
    assert max(abs(red - 200), abs(green - 30), abs(blue - 30)) <= 3  # JPEG at quality 85


def test_scaled_latents_are_unscaled_before_they_are_drawn(make_tiny_model):
    model = make_tiny_model()
    model.autoencoder.linear_preview = LinearPreview(weight=((1, 0, 0), (0, 1, 0), (0, 0, 1)), bias=(0, 0, 0))
    z = torch.full((1, 3, 2, 2), 0.5 * model.scale_factor)
    assert model.scale_factor == 0.7
    (picture,) = draw_latents(model, z)
    assert picture.size == (2, 2)
    assert (np.asarray(picture) == 191).all()  # 0.5 of [-1, 1]


def test_nothing_is_drawn_of_nan(make_tiny_model):
    with pytest.raises(ImageError, match="192 of 192 values are NaN"):
        draw_latents(make_tiny_model(), torch.full((1, 3, 8, 8), torch.nan))


def test_it_is_fitted_once_and_a_stored_one_is_taken_as_it_is(make_tiny_model, monkeypatch):
    autoencoder = make_tiny_model().autoencoder
    fitted = linear_preview_of(autoencoder)
    monkeypatch.setattr(autoencoder, "encode", None)
    assert linear_preview_of(autoencoder) is fitted is autoencoder.linear_preview


def test_a_first_stage_that_is_not_rgb_says_so(make_tiny_model, monkeypatch):
    autoencoder = make_tiny_model().autoencoder
    monkeypatch.setattr(autoencoder, "config", type("Config", (), {"image_channels": 1}))
    with pytest.raises(ConfigError, match="a preview is in RGB"):
        linear_preview_of(autoencoder)
