import dataclasses
import math

import pytest

from ldm_lab.core.errors import DataError
from ldm_lab.data.captions import Asked, AskedObject
from ldm_lab.data.scenes import Scene, SceneObject
from ldm_lab.evaluation.attribute_score import agreement, judge, score
from ldm_lab.evaluation.scene_reader import Reading, ReadObject

RED_CIRCLE = AskedObject("circle", "red", "large")
BLUE_STAR = AskedObject("star", "blue")


def seen(shape, color, x, y, radius=13.0):
    return ReadObject(shape, color, x, y, radius, rotation=0.0, iou=0.97, color_error=0.0)


CIRCLE, STAR = seen("circle", "red", 15, 32), seen("star", "blue", 50, 32, 8.0)


def wrong_kinds(reading, asked):
    return [kind for kind, right in judge(reading, asked) if not right]


def test_a_perfect_image_has_everything_right():
    asked = Asked((RED_CIRCLE, BLUE_STAR), relation="left of", background="white")
    verdict = judge(Reading((CIRCLE, STAR), "white", 0), asked)
    assert sorted(kind for kind, _ in verdict) == sorted(
        "shape color size shape color relation count background".split()
    )
    assert all(right for _, right in verdict)


def test_the_order_of_seen_objects_does_not_matter():
    asked = Asked((RED_CIRCLE, BLUE_STAR), relation="left of")
    assert judge(Reading((STAR, CIRCLE), "white", 0), asked) == judge(Reading((CIRCLE, STAR), "white", 0), asked)


@pytest.mark.parametrize(
    ("objects", "background", "wrong"),
    [
        ((seen("ring", "red", 15, 32), STAR), "white", ["shape"]),
        ((seen(None, "red", 15, 32), STAR), "white", ["shape"]),
        ((seen("circle", None, 15, 32), STAR), "white", ["color"]),
        ((seen("circle", "red", 15, 32, 8.0), STAR), "white", ["size"]),
        ((CIRCLE, seen("star", "blue", 15, 60, 8.0)), "white", ["relation"]),
        ((CIRCLE, STAR), "black", ["background"]),
        ((CIRCLE, STAR), None, ["background"]),
        ((CIRCLE, STAR, seen("star", "pink", 32, 60)), "white", ["count"]),
        ((CIRCLE,), "white", ["shape", "color", "relation", "count"]),
        ((), None, ["shape", "color", "size", "shape", "color", "relation", "count", "background"]),
    ],
)
def test_each_fault_costs_its_attribute(objects, background, wrong):
    asked = Asked((RED_CIRCLE, BLUE_STAR), relation="left of", background="white")
    assert wrong_kinds(Reading(objects, background, 0), asked) == wrong


def test_exchanged_colors_are_two_faults():
    reading = Reading((seen("circle", "blue", 15, 32), seen("star", "red", 50, 32, 8.0)), "white", 0)
    assert wrong_kinds(reading, Asked((RED_CIRCLE, BLUE_STAR), relation="left of")) == ["color", "color"]


def test_the_place_of_a_single_object():
    asked = Asked((dataclasses.replace(RED_CIRCLE, place="left"),))
    assert wrong_kinds(Reading((CIRCLE,), "white", 0), asked) == []
    assert wrong_kinds(Reading((seen("circle", "red", 32, 32),), "white", 0), asked) == ["place"]


def test_what_is_not_asked_is_not_judged():
    assert judge(Reading((STAR,), None, 0), Asked((BLUE_STAR,))) == (("shape", True), ("color", True), ("count", True))


def test_rates_are_right_over_asked():
    readings = [Reading((CIRCLE,), "white", 0), Reading((STAR,), "white", 0)]
    result = score(readings, [Asked((RED_CIRCLE,)), Asked((AskedObject("star", "red"),), background="white")])
    assert result.counts() == {
        "shape": (2, 2),
        "color": (1, 2),
        "size": (1, 1),
        "relation": (0, 0),
        "place": (0, 0),
        "background": (1, 1),
        "count": (2, 2),
    }
    assert result.accuracy() == pytest.approx(7 / 8)
    assert result.accuracy("color", "background") == pytest.approx(2 / 3)
    assert result.wholly_right == 0.5
    assert math.isnan(result.accuracy("place"))


def test_agreement_asks_for_the_whole_scene():
    scene = Scene((SceneObject("circle", "red", 15, 32, 13), SceneObject("star", "blue", 50, 32, 8)), "white")
    result = agreement([Reading((STAR, CIRCLE), "white", 0)], [scene])
    assert result.wholly_right == 1
    assert sum(asked for _, asked in result.counts().values()) == 9


def test_lengths_must_agree():
    with pytest.raises(DataError, match="1 readings for 2 descriptions"):
        score([Reading((), None, 0)], [Asked((RED_CIRCLE,))] * 2)


def test_no_images_give_no_number():
    empty = score([], [])
    assert math.isnan(empty.accuracy())
    assert math.isnan(empty.wholly_right)


def test_the_places_of_two_objects():
    asked = Asked((dataclasses.replace(RED_CIRCLE, place="left"), dataclasses.replace(BLUE_STAR, place="right")))
    assert wrong_kinds(Reading((CIRCLE, seen("star", "blue", 50, 32, 8.0)), "white", 0), asked) == []
    swapped = Reading((seen("circle", "red", 50, 32), seen("star", "blue", 15, 32, 8.0)), "white", 0)
    assert wrong_kinds(swapped, asked) == ["place", "place"]
    assert wrong_kinds(Reading((CIRCLE,), "white", 0), asked) == ["shape", "color", "place", "count"]
