import dataclasses

import pytest
import torch

import ldm_lab as lab
from ldm_lab.session import python_of_run
from ldm_lab.tasks import AddNoise, Adjust, Branch, Paste, Recipe, SwapChannels, TextToImageSettings


@pytest.fixture(scope="module")
def model(tiny_folder):
    return lab.load(tiny_folder)


@pytest.fixture(scope="module")
def run(model):
    asked = {"prompt": "a large red circle", "num_steps": 4, "sampler": "ddim", "seeds": [1, 2], "guidance_scale": 3.0}
    return model.carry_out(TextToImageSettings.of(**asked))


def made_again(run, tiny_folder):
    names = {}
    exec(python_of_run(run, model=str(tiny_folder)), names)
    return names["run"]


def leave(model, parent, step, *edits, **changes):
    settings = dataclasses.replace(parent.settings, **changes)
    return model.carry_out(settings, branch=Branch(parent=parent, step=step, recipe=Recipe(edits)))


EDITS = {
    "none": [],
    "noise in a region": [AddNoise.of(amount=0.5, region=torch.eye(8), image=1)],
    "several": [Adjust(gain=1.5, channels=(1,)), SwapChannels(channels=(0, 2))],
    "a latent": [Paste.of(latent=torch.linspace(-1, 1, 192).reshape(3, 8, 8))],
}


@pytest.mark.parametrize("edits", EDITS.values(), ids=EDITS.keys())
def test_a_branch_is_made_again_bit_for_bit(model, run, tiny_folder, edits):
    child = leave(model, run, 2, *edits)
    again = made_again(child, tiny_folder)
    assert [image.tobytes() for image in again.images] == [image.tobytes() for image in child.images]
    assert again.branch.recipe == child.branch.recipe


def test_changes_are_told_also_those_back_to_a_default(model, run, tiny_folder):
    child = leave(model, run, 1, prompt="a blue star", guidance_scale=5.0, negative_prompt="green")
    grandchild = leave(model, child, 2, Adjust(shift=0.5), negative_prompt="")
    code = python_of_run(grandchild, model=str(tiny_folder))
    assert "guidance_scale=5.0" in code
    assert code.count("Branch(parent=run") == 2
    again = made_again(grandchild, tiny_folder)
    assert again.settings == grandchild.settings
    assert again.images[1].tobytes() == grandchild.images[1].tobytes()


def test_a_walk_that_was_stopped_stops_there_again(model, run, tiny_folder):
    partial = model.carry_out(run.settings, on_step=lambda step: step.index < 1)
    assert partial.outcome.stopped_after == 2
    again = made_again(partial, tiny_folder)
    assert again.outcome.stopped_after == 2
    assert again.images[0].tobytes() == partial.images[0].tobytes()
