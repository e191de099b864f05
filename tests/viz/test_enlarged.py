import numpy as np
import pytest
from PIL import Image

from ldm_lab.viz import enlarged, factor_to

PICTURE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (3, 5, 3), dtype=np.uint8))


@pytest.mark.parametrize(("side", "factor"), [(1, 1), (5, 1), (9, 1), (10, 2), (14, 2), (50, 10)])
def test_every_pixel_becomes_a_square_of_the_largest_factor_that_fits(side, factor):
    assert factor_to(*PICTURE.size, side=side) == factor
    squares = np.asarray(PICTURE).repeat(factor, 0).repeat(factor, 1)
    np.testing.assert_array_equal(np.asarray(enlarged(PICTURE, side=side)), squares)
