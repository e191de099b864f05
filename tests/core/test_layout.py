import dataclasses
import math
import re

import pytest

from ldm_lab.core.config import from_dict, to_dict
from ldm_lab.core.errors import RequestError
from ldm_lab.core.layout import LayoutObject


def test_an_object_is_a_value():
    first, second = (LayoutObject(("star", "red"), (0.0, 0.25, 0.5, 1.0)) for _ in range(2))
    assert first == second
    assert len({first, second}) == 1
    with pytest.raises(dataclasses.FrozenInstanceError):
        first.box = (0.0, 0.0, 1.0, 1.0)


def test_it_survives_json():
    item = LayoutObject(("star",), (0.0, 0.25, 0.5, 1.0))
    assert from_dict(LayoutObject, to_dict(item)) == item


@pytest.mark.parametrize("box", [(0.0, 0.0, 1.0, 1.0), (0, 0, 1, 1), (0.5, 0.5, 0.5 + 1e-9, 0.75)])
def test_boxes_within_the_image_are_accepted(box):
    assert LayoutObject(("star",), box).box == box


@pytest.mark.parametrize("box", [(-0.01, 0.0, 1.0, 1.0), (0.0, 0.0, 1.01, 1.0), (0.0, 8.0, 32.0, 64.0)])
def test_boxes_outside_the_image_are_refused(box):
    with pytest.raises(RequestError, match=re.escape(f"the box of star red is {box}; left, top, right and bottom")):
        LayoutObject(("star", "red"), box)


@pytest.mark.parametrize(
    ("box", "message"),
    [
        ((0.6, 0.1, 0.4, 0.2), r"its left \(0\.6\) must be less than its right \(0\.4\)"),
        ((0.1, 0.9, 0.2, 0.3), r"its top \(0\.9\) must be less than its bottom \(0\.3\)"),
        ((0.5, 0.1, 0.5, 0.2), r"its left \(0\.5\) must be less than its right \(0\.5\)"),
    ],
)
def test_inverted_and_flat_boxes_are_refused(box, message):
    with pytest.raises(RequestError, match=message):
        LayoutObject(("star",), box)


@pytest.mark.parametrize(
    "box", [(0.0, 0.0, 1.0), [0.0, 0.0, 1.0, 1.0], ("0", "0", "1", "1"), (True, 0.0, 1.0, 1.0), None]
)
def test_what_is_no_box_is_refused(box):
    with pytest.raises(RequestError, match="box is "):
        LayoutObject(("star",), box)


@pytest.mark.parametrize("side", [math.nan, math.inf])
def test_numbers_that_are_not_finite_are_refused(side):
    with pytest.raises(RequestError, match=f"box is {side}; it must be a finite number"):
        LayoutObject(("star",), (0.0, 0.0, 1.0, side))


def test_names_are_words():
    with pytest.raises(RequestError, match="names is 'star'"):
        LayoutObject("star", (0.0, 0.0, 1.0, 1.0))
