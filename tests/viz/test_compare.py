import pytest
import torch
from PIL import Image

from ldm_lab.core.errors import ShapeError
from ldm_lab.viz import error_map, overlay, paint, shares

GRAY = Image.new("RGB", (8, 6), (100, 100, 100))


def test_equal_pictures_have_no_error_and_a_changed_pixel_shows():
    changed = GRAY.copy()
    changed.putpixel((3, 2), (255, 100, 100))
    nothing = paint(torch.zeros(6, 8), low=0.0, high=0.5)
    assert error_map(GRAY, GRAY).tobytes() == nothing.tobytes()
    found = error_map(GRAY, changed)
    differing = [(x, y) for y in range(6) for x in range(8) if found.getpixel((x, y)) != nothing.getpixel((x, y))]
    assert differing == [(3, 2)]


def test_the_error_is_the_mean_over_the_colours():
    """155 of 255 in one of three colours: 2 · 155 / 255 / 3 in [-1, 1]."""
    changed = Image.new("RGB", (1, 1), (255, 100, 100))
    expected = paint(torch.full((1, 1), 2 * 155 / 255 / 3), low=0.0, high=0.5)
    assert error_map(Image.new("RGB", (1, 1), (100, 100, 100)), changed).tobytes() == expected.tobytes()


def test_without_heat_the_picture_is_as_it_was():
    assert overlay(GRAY, torch.zeros(3, 4)).tobytes() == GRAY.tobytes()


def test_heat_colours_its_place():
    heat = torch.zeros(6, 8)
    heat[0, 0] = 1.0
    covered = overlay(GRAY, heat, strength=1.0)
    assert covered.getpixel((0, 0)) == paint(torch.ones(1, 1), low=0.0, high=1.0).getpixel((0, 0))
    assert covered.getpixel((7, 5)) == (100, 100, 100)


def test_mistakes_are_named():
    with pytest.raises(ShapeError, match=r"\(8, 6\) and \(4, 4\)"):
        error_map(GRAY, Image.new("RGB", (4, 4)))
    with pytest.raises(ShapeError, match=r"heat has shape \(4,\)"):
        overlay(GRAY, torch.zeros(4))


def test_shares_reach_from_none_at_the_mean_to_one():
    heat = torch.zeros(3, 4)
    heat[0, 0] = 5.0
    opacity = shares(heat, GRAY.size)
    assert opacity.shape == (GRAY.height, GRAY.width)
    assert opacity[0, 0] == opacity.max() == 1.0
    assert opacity[-1, -1] == 0.0
    assert shares(heat, GRAY.size, strength=0.25).max() == 0.25
    assert shares(torch.full((2, 2), 3.0), (3, 3)).max() == 0.0
