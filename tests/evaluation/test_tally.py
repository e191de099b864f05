import math

from ldm_lab.evaluation.attribute_score import Score
from ldm_lab.evaluation.tally import share, spell, tally

TWO_OBJECTS = (
    *(("shape", True), ("color", True), ("size", False)),
    *(("shape", True), ("color", False)),
    *(("relation", True), ("count", True)),
)
ONE_OBJECT = (("shape", True), ("color", True), ("count", True), ("place", True), ("background", True))


def test_attributes_pairs_and_images_are_counted():
    counts = tally(Score((TWO_OBJECTS, ONE_OBJECT)))
    assert counts["shape"] == (3, 3)
    assert counts["color"] == (2, 3)
    assert counts["shape and color"] == (2, 3)
    assert counts["goal attributes"] == (3 + 2 + 0 + 1 + 1, 3 + 3 + 1 + 1 + 1)
    assert counts["all attributes"] == (10, 12)
    assert counts["wholly right"] == (1, 2)


def test_an_image_of_which_nothing_was_asked_is_not_counted():
    assert tally(Score(((), ONE_OBJECT)))["wholly right"] == (1, 1)


def test_shares_are_shown_with_their_numbers():
    assert spell((3, 4)) == "75.0 % (3/4)"
    assert spell((0, 0)) == "–"
    assert math.isnan(share((0, 0)))
