"""Which cells a box covers, by their centre and by any part."""

import pytest

from ldm_lab.training.cells import cells_of


@pytest.mark.parametrize(
    ("box", "by_centre", "by_any_part"),
    [
        ((0.25, 0.5, 0.5, 1.0), [[0, 0, 0, 0], [0, 1, 0, 0]], [[0, 0, 0, 0], [0, 1, 0, 0]]),  # edges of cells
        ((0.2, 0.4, 0.45, 0.6), [[0, 0, 0, 0]] * 2, [[1, 1, 0, 0], [1, 1, 0, 0]]),
        ((0.0, 0.0, 1.0, 1.0), [[1, 1, 1, 1]] * 2, [[1, 1, 1, 1]] * 2),
        ((0.95, 0.1, 1.0, 0.2), [[0, 0, 0, 0]] * 2, [[0, 0, 0, 1], [0, 0, 0, 0]]),
    ],
)
def test_cells_are_found_by_their_centre_or_by_any_part(box, by_centre, by_any_part):
    assert cells_of(box, (2, 4)).tolist() == by_centre
    assert cells_of(box, (2, 4), reach=0.5).tolist() == by_any_part
