import copy

import pytest
import torch

from ldm_lab.core.config import from_dict, to_dict
from ldm_lab.core.errors import RequestError
from ldm_lab.core.layout import LayoutObject
from ldm_lab.tasks import LayoutToImageSettings, Pipeline
from ldm_lab.tasks.layout import read_object

STAR = LayoutObject(("star", "red"), (0.1, 0.2, 0.5, 0.6))


@pytest.fixture(scope="module")
def pipeline(layout_model):
    return Pipeline(layout_model, defaults={"num_steps": 2, "sampler": "ddim"})


@pytest.mark.parametrize(
    "given",
    [STAR, "star red 0.1 0.2 0.5 0.6", (("star", "red"), (0.1, 0.2, 0.5, 0.6)), ["star red", [0.1, 0.2, 0.5, 0.6]]],
)
def test_an_object_may_be_written_in_several_ways(given):
    assert read_object(given) == STAR
    assert LayoutToImageSettings.of(layout=[given]).layout == (STAR,)


def test_settings_survive_json():
    settings = LayoutToImageSettings.of(layout="star red 0.1 0.2 0.5 0.6").resolved(image_size=16)
    assert from_dict(LayoutToImageSettings, to_dict(settings)) == settings


def test_guidance_moves_away_from_the_empty_layout(layout_model):
    exact = copy.deepcopy(layout_model).double()  # in which kernels that sum in another order agree
    pipeline = Pipeline(exact, defaults={"num_steps": 2, "sampler": "ddim"})
    plain, guided = (pipeline.layout_to_image([], guidance_scale=scale) for scale in (1.0, 7.0))
    torch.testing.assert_close(guided.trajectory[-1].z_next, plain.trajectory[-1].z_next, atol=1e-9, rtol=1e-9)
    assert plain.notes == ("the layout is empty: the images are unconditional",)


def test_names_and_boxes_have_an_effect(pipeline):
    layouts = ("star red 0 0 0.5 0.5", "star blue 0 0 0.5 0.5", "star red 0.5 0 1 0.5")
    runs = [pipeline.layout_to_image(layout) for layout in layouts]
    assert len({run.images[0].tobytes() for run in runs}) == 3
    assert repr(runs[1]) == "Run('layout: star blue', 1 image)"


@pytest.mark.parametrize(
    ("layout", "message"),
    [
        ("star", "an object of the layout is .*star.*; give its names and its box"),
        (["star red 0 0 1"], "an object of the layout is"),
        ([7], "an object of the layout is 7"),
        (7, "layout is 7; expected a tuple of LayoutObject"),
        ("star red 0.5 0.5 1.5 1", r"the box of star red is \(0.5, 0.5, 1.5, 1.0\); .* from 0 to 1"),
        ("star red 0.5 0 0.5 1", r"its left \(0.5\) must be less than its right \(0.5\)"),
        ("zebra red 0 0 1 1", "called 'zebra'; choose one of circle, star"),
        ("star 0 0 1 1", r"has the names \('star',\); give 2"),
        (["star red 0 0 1 1"] * 3, "the layout has 3 objects; this model reads at most 2"),
    ],
)
def test_what_is_no_layout_is_named(pipeline, layout, message):
    with pytest.raises(RequestError, match=message):
        pipeline.layout_to_image(layout)
