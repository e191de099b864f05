import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ldm_lab.core.errors import RequestError
from ldm_lab.core.tiles import in_tiles, tiles_of


@given(
    height=st.integers(1, 70),
    width=st.integers(1, 70),
    size=st.integers(1, 40),
    share=st.floats(0, 1, exclude_max=True),
)
def test_tiles_cover_the_plane_and_overlap_as_asked(height, width, size, share):
    overlap = int(share * size)
    tiles = tiles_of(height, width, size=size, overlap=overlap)
    covered = torch.zeros(height, width, dtype=torch.int)
    for tile in tiles:
        assert tile.height == min(size, height)
        assert tile.width == min(size, width)
        view = tile.of(covered)
        assert view.shape == (tile.height, tile.width)
        view += 1
    assert (covered > 0).all()
    for starts, length in (
        (sorted({tile.top for tile in tiles}), height),
        (sorted({tile.left for tile in tiles}), width),
    ):
        assert starts[0] == 0
        assert starts[-1] + min(size, length) == length
        assert all(after - before <= size - overlap for before, after in zip(starts, starts[1:], strict=False))  # noqa: RUF007


def test_no_more_tiles_than_needed():
    assert len(tiles_of(64, 64, size=64, overlap=16)) == 1
    assert len(tiles_of(64, 112, size=64, overlap=16)) == 2
    assert len(tiles_of(64, 113, size=64, overlap=16)) == 3


@pytest.mark.parametrize("overlap", [0, 3, 5])
def test_what_depends_on_each_number_alone_is_not_changed_by_tiling(overlap):
    plane = torch.randn(2, 3, 17, 23, dtype=torch.float64)
    tiled = in_tiles(lambda part, tile: part.square(), plane, size=7, overlap=overlap)
    torch.testing.assert_close(tiled, plane.square(), rtol=0, atol=1e-12)


def test_results_may_be_larger_and_have_another_shape():
    plane = torch.randn(2, 3, 9, 11, dtype=torch.float64)

    def enlarge(part, tile=None):
        return part[:1, :2].repeat_interleave(2, 2).repeat_interleave(2, 3)

    enlarged = in_tiles(enlarge, plane, size=5, overlap=2, scale=2)
    torch.testing.assert_close(enlarged, enlarge(plane), rtol=0, atol=1e-12)


def test_functions_are_told_where_the_tile_lies():
    plane = torch.randn(1, 1, 12, 12)
    seen = []
    in_tiles(lambda part, tile: seen.append(torch.equal(tile.of(plane), part)) or part, plane, size=5, overlap=2)
    assert len(seen) == 16
    assert all(seen)


def test_one_tile_is_the_function_itself_and_disagreement_fades():
    plane = torch.randn(1, 1, 8, 20)
    assert torch.equal(in_tiles(lambda part, tile: part / 3, plane, size=20, overlap=4), plane / 3)
    tops = in_tiles(lambda part, tile: torch.full_like(part, tile.left), plane, size=12, overlap=4)[0, 0]
    assert (tops[:, :8] == 0).all()
    assert (tops[:, 12:] == 8).all()
    steps = tops.diff(dim=1)
    assert (steps[:, 7:12] > 0).all()
    assert steps.max() < 4  # a hard seam would be one step of 8
    assert torch.allclose(tops, tops[:1])


@pytest.mark.parametrize(("size", "overlap"), [(0, 0), (4, 4), (4, -1), (4, 9)])
def test_impossible_tiles_are_named(size, overlap):
    with pytest.raises(RequestError, match=f"tiles have the size {size} and the overlap {overlap}"):
        tiles_of(8, 8, size=size, overlap=overlap)
