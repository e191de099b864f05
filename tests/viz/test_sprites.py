from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from ldm_lab.core.errors import RequestError
from ldm_lab.viz import kept_indices, sprites


def frames(count, size=(16, 8)):
    return [Image.new("RGB", size, (index % 256, 0, 255 - index % 256)) for index in range(count)]


def test_frames_are_where_the_columns_say():
    made = sprites(frames(7))
    sheet = Image.open(BytesIO(made.data))
    assert sheet.format == "JPEG"
    assert (made.width, made.height, made.indices) == (16, 8, tuple(range(7)))
    for place, index in enumerate(made.indices):
        row, column = divmod(place, made.columns)
        pixel = sheet.getpixel((column * made.width + 8, row * made.height + 4))
        assert np.abs(np.subtract(pixel, frames(7)[index].getpixel((0, 0)))).max() < 8


def test_of_many_every_nth_and_the_last_are_kept():
    made = sprites(frames(451))
    assert made.indices == (*range(0, 451, 3),)
    assert sprites(frames(402)).indices[-2:] == (399, 401)
    assert len(sprites(frames(1000)).indices) <= 201


def test_large_frames_are_made_smaller_and_small_ones_are_not_made_larger():
    assert (sprites(frames(2, (512, 256))).width, sprites(frames(2, (512, 256))).height) == (256, 128)
    assert sprites(frames(1)).width == 16


def test_sheets_stay_within_what_browsers_decode():
    made = sprites(frames(60, (256, 256)))
    assert made.columns * made.width <= 8192


def test_no_frame_is_refused():
    with pytest.raises(RequestError, match="no frame"):
        sprites([])


def test_without_loss_every_pixel_is_as_it_was():
    made = sprites(frames(3), lossless=True)
    sheet = Image.open(BytesIO(made.data))
    assert (sheet.format, made.mime) == ("PNG", "image/png")
    assert sprites(frames(3)).mime == "image/jpeg"
    assert sheet.getpixel((2 * 16 + 3, 2)) == (2, 0, 253)


def test_more_frames_fit_where_they_are_asked_for():
    assert sprites(frames(451), max_frames=451).indices == tuple(range(451))


@pytest.mark.parametrize(
    ("count", "most", "kept"),
    [(5, 5, (0, 1, 2, 3, 4)), (5, 4, (0, 2, 4)), (6, 3, (0, 2, 4, 5)), (3, 0, (0, 2)), (1, 1, (0,))],
)
def test_the_last_is_always_kept(count, most, kept):
    assert kept_indices(count, most) == kept
