import numpy as np
import pytest
import torch

from ldm_lab.core.errors import RequestError, ShapeError
from ldm_lab.viz import DIVERGING, color_table, paint
from ldm_lab.viz.colors import NOT_A_NUMBER


def test_colours_are_those_of_the_map_at_the_share():
    import matplotlib

    painted = np.asarray(paint(torch.tensor([[0.0, 1.0], [2.0, 9.0]]), low=0.0, high=2.0))
    wanted = [matplotlib.colormaps["viridis"](share, bytes=True)[:3] for share in (0.0, 0.5, 1.0, 1.0)]
    assert [tuple(pixel) for row in painted for pixel in row] == [tuple(map(int, color)) for color in wanted]


def test_zero_is_white_in_diverging_colours():
    pixel = paint(torch.zeros(1, 1), low=-3.0, high=3.0, colormap=DIVERGING).getpixel((0, 0))
    assert min(pixel) > 240


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_what_is_no_number_is_magenta(bad):
    painted = paint(torch.tensor([[bad, 0.5]]), low=0.0, high=1.0)
    assert painted.getpixel((0, 0)) == NOT_A_NUMBER
    assert painted.getpixel((1, 0)) != NOT_A_NUMBER


def test_each_number_is_a_square():
    painted = paint(torch.tensor([[0.0, 1.0, 0.0]]), low=0.0, high=1.0, scale=4)
    assert painted.size == (12, 4)
    assert len(set(painted.crop((4, 0, 8, 4)).get_flattened_data())) == 1


def test_mistakes_are_named():
    with pytest.raises(ShapeError, match=r"shape \(2, 2, 2\)"):
        paint(torch.zeros(2, 2, 2), low=0.0, high=1.0)
    with pytest.raises(RequestError, match="low is 1.0 and high 1.0"):
        paint(torch.zeros(2, 2), low=1.0, high=1.0)


def test_a_table_holds_the_colours_that_are_painted_with():
    table = np.frombuffer(color_table(DIVERGING), np.uint8).reshape(256, 3)
    painted = np.asarray(paint(torch.linspace(0.0, 1.0, 256)[None], low=0.0, high=1.0, colormap=DIVERGING))
    assert np.abs(table.astype(int) - painted[0]).max() <= 1
