"""Samples for evaluations are those that the tasks make, whatever the batch."""

import pytest
import torch

from ldm_lab.conditioning import ClassLabelConfig
from ldm_lab.core.images import to_tensor
from ldm_lab.evaluation.progress import counted
from ldm_lab.evaluation.sampling import sample_conditions
from ldm_lab.tasks import Pipeline

CAPTIONS = ["a red circle", "a small blue star", ""]
WALK = {"num_steps": 3, "guidance_scale": 2.0, "sampler": "euler-a"}
HALF_A_LEVEL = 0.51 / 127.5  # a run's images are bytes


@pytest.fixture
def pipeline(tiny_model):
    return Pipeline(tiny_model)


def settings_of(pipeline, **walk):
    return pipeline.resolved(type(pipeline.defaults).of(**walk))


def test_images_are_those_of_the_task(pipeline):
    (x,) = sample_conditions(pipeline, CAPTIONS, settings_of(pipeline, **WALK))
    for index, caption in enumerate(CAPTIONS):
        run = pipeline.text_to_image(caption, seeds=[index], **WALK)
        torch.testing.assert_close(x[index : index + 1], to_tensor(run.images[0]), atol=HALF_A_LEVEL, rtol=0)


def test_a_negative_prompt_counts(pipeline):
    settings = settings_of(pipeline, **WALK)
    (x,) = sample_conditions(pipeline, CAPTIONS[:1], settings, negative="a small star")
    run = pipeline.text_to_image(CAPTIONS[0], seeds=[0], negative_prompt="a small star", **WALK)
    torch.testing.assert_close(x, to_tensor(run.images[0]), atol=HALF_A_LEVEL, rtol=0)
    (without,) = sample_conditions(pipeline, CAPTIONS[:1], settings)
    assert not torch.allclose(x, without, atol=0.01)


def test_an_image_does_not_depend_on_the_batch(pipeline):
    settings = settings_of(pipeline, num_steps=2)
    (together,) = sample_conditions(pipeline, CAPTIONS, settings)
    apart = torch.cat(list(sample_conditions(pipeline, CAPTIONS, settings, batch_size=2)))
    torch.testing.assert_close(together, apart, atol=1e-4, rtol=0)
    assert not torch.allclose(together[0], together[1], atol=0.01)


def test_classes_are_guided_away_from_no_class(make_tiny_model):
    pipeline = Pipeline(make_tiny_model(conditioner=ClassLabelConfig(num_classes=3, width=8)))
    (x,) = sample_conditions(pipeline, [2], settings_of(pipeline, **WALK))
    run = pipeline.class_to_image(2, seeds=[0], **WALK)
    torch.testing.assert_close(x, to_tensor(run.images[0]), atol=HALF_A_LEVEL, rtol=0)


def test_unconditional_images_need_no_condition(make_tiny_model):
    pipeline = Pipeline(make_tiny_model(conditioner=None))
    (x,) = sample_conditions(pipeline, [None, None], settings_of(pipeline, num_steps=2))
    run = pipeline.unconditional(seeds=[0, 1], num_steps=2)
    torch.testing.assert_close(x, to_tensor(list(run.images)), atol=HALF_A_LEVEL, rtol=0)


def test_progress_counts_on_from_what_was_done_before():
    seen = []
    batches = list(counted(iter([torch.zeros(3, 1), torch.zeros(2, 1)]), seen.append, done=10))
    assert seen == [13, 15]
    assert [len(batch) for batch in batches] == [3, 2]
