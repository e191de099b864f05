"""What holds for every task: settings that explain themselves, records that recreate them, a method of the pipeline."""

import dataclasses
import inspect
import math
import typing

import numpy as np
import pytest
from PIL import Image

from ldm_lab import api
from ldm_lab.core.config import from_dict, to_dict
from ldm_lab.core.errors import RequestError
from ldm_lab.tasks import TASKS, Pipeline, task_named
from ldm_lab.tasks.kinds import KINDS

PICTURE = Image.fromarray(np.random.default_rng(3).integers(0, 256, (16, 16, 3), dtype=np.uint8))
MASK = np.repeat(np.arange(16)[None] > 7, 16, axis=0)
ASKED = {
    "unconditional": ("unconditional_model", {}),
    "class_to_image": ("class_model", {"label": "star"}),
    "text_to_image": ("tiny_model", {"prompt": "a (red:1.4) star", "later_prompts": [[0.5, "a circle"]]}),
    "layout_to_image": ("layout_model", {"layout": ["star red 0 0 0.5 0.5"]}),
    "semantic_to_image": ("semantic_model", {"map": np.full((16, 16), 2)}),
    "super_resolution": ("upscaling_model", {"image": PICTURE}),
    "inpainting": ("inpainting_model", {"image": PICTURE, "mask": MASK}),
    "outpainting": ("tiny_model", {"image": PICTURE, "right": 8}),
    "image_to_image": ("tiny_model", {"image": PICTURE, "prompt": "a star"}),
    "variation": ("class_model", {"of_seed": 3, "label": 1}),
    "interpolation": ("tiny_model", {"prompt": "a star", "num_frames": 3}),
    "blend": ("tiny_model", {"prompts": ["a star", "a circle"], "noises": [], "across": 0.3}),
    "inversion": ("tiny_model", {"image": PICTURE}),
    "image_guiding": ("unconditional_model", {"image": PICTURE, "guide_scale": 0.01}),
    "large_image": ("unconditional_model", {"width": 32, "patch_size": 16}),
}


@pytest.fixture(params=TASKS)
def name(request):
    return request.param


@pytest.fixture
def pipeline(request, name):
    return Pipeline(request.getfixturevalue(ASKED[name][0]), defaults={"num_steps": 2})


def test_every_setting_has_help(name):
    for field in dataclasses.fields(TASKS[name].settings):
        assert field.metadata["help"].rstrip('"').endswith("."), field.name


def test_the_task_knows_its_name_and_a_shipped_model(name):
    task = TASKS[name]
    assert task.settings.task == name
    assert task_named(name.replace("_", "-")) is task
    assert task.model in {kind.shipped for kind in KINDS}
    assert f"model.{name}(" in task.example


def test_the_pipeline_has_a_method_that_is_short_for_run(name, pipeline):
    method = getattr(Pipeline, name)
    required = [
        field.name for field in dataclasses.fields(TASKS[name].settings) if field.default is dataclasses.MISSING
    ]
    assert list(inspect.signature(method).parameters) == ["self", *required, "settings"]


def test_a_saved_picture_makes_the_run_again(name, pipeline, tmp_path):
    run = pipeline.run(name, **ASKED[name][1])
    assert from_dict(TASKS[name].settings, to_dict(run.settings)) == run.settings
    run.images[-1].save(tmp_path / "x.png")
    opened = api.open_run(tmp_path / "x.png", model=pipeline)
    assert opened.settings == run.settings
    assert [image.tobytes() for image in opened.images] == [image.tobytes() for image in run.images]
    assert opened.notes[-1] == "the picture made again equals the file bit for bit"
    assert run._repr_html_()


def test_resolving_twice_changes_nothing(name, pipeline):
    once = pipeline.resolved(TASKS[name].settings.of(**ASKED[name][1]))
    assert pipeline.resolved(once) == once
    assert hash(once) == hash(pipeline.resolved(once))
    assert once.length >= 1


def limits():
    """Every number that may be asked for, and values just beyond what is accepted."""
    for name, task in TASKS.items():
        hints = typing.get_type_hints(task.settings)
        for field in dataclasses.fields(task.settings):
            low, high = (field.metadata[limit] for limit in ("minimum", "maximum"))
            if low is None:
                continue
            beyond = [low - 1, high + 1, math.nan] if "float" in str(hints[field.name]) else [low - 1, high + 1]
            length = 4 if field.name == "guidance_box" else 2 if "tuple" in str(hints[field.name]) else None
            yield from (pytest.param(name, field.name, bad, length, id=f"{name}-{field.name}-{bad}") for bad in beyond)


@pytest.mark.parametrize(("task", "field", "bad", "length"), [*limits()])
def test_a_number_out_of_range_is_named_with_its_range(task, field, bad, length):
    given = ASKED[task][1] | {field: bad if length is None else (bad,) * length}
    with pytest.raises(RequestError, match=rf"^{field} is {bad}; it must be (from|a finite number)"):
        TASKS[task].settings.of(**given)


@pytest.mark.parametrize("size", [17, 2])
@pytest.mark.parametrize("task", ["text_to_image", "variation", "interpolation", "large_image"])
def test_a_size_that_the_network_cannot_take_is_named_with_the_nearest(tiny_model, size, task):
    asked = {"text_to_image": {"prompt": ""}, "variation": {"of_seed": 1}}.get(task, {})
    with pytest.raises(RequestError, match=f"width is {size}; it must be a multiple of 4, the nearest is"):
        Pipeline(tiny_model).run(task, width=size, num_steps=1, **asked)


def test_an_unknown_task_lists_the_known_ones(pipeline):
    with pytest.raises(RequestError, match="there is no task 'video'; choose one of unconditional, class_to_image"):
        pipeline.run("video")
