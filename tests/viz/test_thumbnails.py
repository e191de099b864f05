import pytest
import torch
from PIL import Image, ImageColor

from ldm_lab.core.errors import ShapeError
from ldm_lab.viz import thumbnails
from ldm_lab.viz.thumbnails import GROUND


def test_pictures_lie_at_their_points_with_y_upwards():
    colors = ("red", "lime", "blue")
    pictures = [Image.new("RGB", (80, 40), color) for color in colors]
    sheet = thumbnails(torch.tensor([[-1.0, 1.0], [1.0, -1.0], [0.0, 0.0]]), pictures, side=100, thumbnail=20)
    assert sheet.size == (100, 100)
    assert sheet.getpixel((2, 2)) == (255, 0, 0)
    assert sheet.getpixel((97, 97)) == (0, 255, 0)
    assert sheet.getpixel((50, 50)) == (0, 0, 255)
    assert sheet.getpixel((97, 2)) == ImageColor.getrgb(GROUND)
    assert sheet.getpixel((10, 11)) == ImageColor.getrgb(GROUND)  # 20 x 10 pixels
    assert pictures[0].size == (80, 40)


def test_there_is_one_picture_a_point():
    with pytest.raises(ShapeError, match=r"shape \(3, 2\); give \(N, 2\) for 1 pictures"):
        thumbnails(torch.zeros(3, 2), [Image.new("RGB", (8, 8))])
