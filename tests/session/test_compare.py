import dataclasses

import pytest
import torch

from ldm_lab.core.errors import RequestError
from ldm_lab.session import check_made_by, count_common_steps, diff_settings
from ldm_lab.tasks import AddNoise, Branch, ImageToImageSettings, Origin, Picture, Pipeline, Recipe, Run


@pytest.fixture
def run(pipeline, settings):
    return pipeline.carry_out(settings())


def test_only_what_differs_is_told(pipeline, settings, run):
    other = pipeline.carry_out(settings(seeds=[1], prompt="a small blue star", guidance_scale=5.0))
    assert diff_settings(run, other) == {
        "prompt": ("a large red circle", "a small blue star"),
        "guidance_scale": (3.0, 5.0),
    }
    assert diff_settings(run, run) == {}


def test_another_task_has_other_settings(pipeline, run):
    picture = torch.zeros(3, 16, 16)
    other = pipeline.carry_out(ImageToImageSettings.of(image=picture, prompt=run.settings.prompt, num_steps=4, seeds=1))
    found = diff_settings(run, other)
    assert found["task"] == ("text_to_image", "image_to_image")
    assert found["image"] == (None, Picture.of(picture))
    assert found["strength"] == (None, 0.6)
    assert found["sampler"] == ("ddim", "dpm++2m")
    assert not {"prompt", "width", "num_steps"} & set(found)


def test_a_recipe_is_a_difference_and_so_is_what_follows(pipeline, run):
    recipe = Recipe((AddNoise(amount=0.5),))
    child = pipeline.carry_out(run.settings, branch=Branch(parent=run, step=2, recipe=recipe))
    assert diff_settings(run, child) == {"recipe": ((), recipe.edits)}
    assert count_common_steps(run, child) == 2
    again = pipeline.carry_out(run.settings, branch=Branch(parent=run, step=2))
    assert count_common_steps(run, again) == 4


def test_a_single_bit_is_another_step(run):
    last = run.trajectory[3]
    z_next = last.z_next.clone()
    z_next.view(torch.int32)[0, 0, 0, 0] ^= 1
    changed = (*run.trajectory[:3], dataclasses.replace(last, z_next=z_next))
    rounded = tuple(step.map(torch.Tensor.half) for step in run.trajectory)
    for trajectory, same in ((changed, 3), (rounded, 0)):
        outcome = dataclasses.replace(run.outcome, trajectory=trajectory)
        assert count_common_steps(run, Run(run.settings, lambda outcome=outcome: outcome)) == same


def test_a_run_is_explained_by_the_model_that_made_it(pipeline, run, tiny_model):
    check_made_by(run, pipeline)
    other = Pipeline(tiny_model, origin=Origin(name="other", digest="abc"))
    with pytest.raises(RequestError, match="made by 'tiny', and this session holds 'other'"):
        check_made_by(run, other)
