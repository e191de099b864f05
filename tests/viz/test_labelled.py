import numpy as np
import pytest
from PIL import Image

from ldm_lab.core.errors import ImageError
from ldm_lab.viz.labelled import labelled

RED, BLUE = (250, 0, 0), (0, 0, 250)


def count(sheet, color):
    return int((np.asarray(sheet) == color).all(-1).sum())


def test_small_pictures_are_enlarged_by_a_whole_factor():
    pictures = {"one": Image.new("RGB", (8, 8), RED), "other": Image.new("RGB", (6, 6), BLUE)}
    sheet = labelled(pictures, side=50)
    assert (count(sheet, RED), count(sheet, BLUE)) == (48**2, 48**2)


def test_large_pictures_stay_as_they_are():
    assert count(labelled({"large": Image.new("RGB", (70, 30), RED)}, side=50), RED) == 70 * 30


def test_columns_make_rows():
    pictures = {str(number): Image.new("RGB", (20, 20), RED) for number in range(4)}
    row, square = labelled(pictures, side=20), labelled(pictures, side=20, columns=2)
    assert row.width > square.width
    assert row.height < square.height
    assert count(row, RED) == count(square, RED) == 4 * 400


def test_names_are_written_and_long_ones_take_more_lines():
    picture = Image.new("RGB", (60, 60), RED)
    plain, named, long = (labelled({name: picture}, side=60) for name in ("", "one", "one and another and a third"))
    assert not (np.asarray(plain) < 100).all(-1).any()
    assert (np.asarray(named) < 100).all(-1).any()
    assert long.height > named.height
    assert count(long, RED) == 3600  # no line covers the picture


def test_no_picture_is_refused():
    with pytest.raises(ImageError, match="there is no picture to lay out"):
        labelled({})
