import pytest
import torch

from ldm_lab.core.errors import RequestError
from ldm_lab.tasks import Pipeline


@pytest.fixture(scope="module")
def pipeline(tiny_model):
    return Pipeline(tiny_model, defaults={"num_steps": 3, "sampler": "ddim"})


def finals(run):
    return run.trajectory[-1].z_next


@pytest.mark.parametrize("sampler", ["ddim", "dpm++2m"])
def test_the_ends_are_the_ends(exact_model, sampler):
    pipeline = Pipeline(exact_model, defaults={"num_steps": 3, "sampler": "ddim"})
    asked = {"prompt": "a star", "other_prompt": "a red circle", "negative_prompt": "blue", "sampler": sampler}
    run = pipeline.interpolation(seeds=[4, 5], num_frames=5, **asked)
    first = pipeline.text_to_image("a star", seeds=[4], negative_prompt="blue", sampler=sampler)
    last = pipeline.text_to_image("a red circle", seeds=[5], negative_prompt="blue", sampler=sampler)
    torch.testing.assert_close(finals(run)[:1], finals(first), atol=1e-9, rtol=1e-9)
    torch.testing.assert_close(finals(run)[4:], finals(last), atol=1e-9, rtol=1e-9)
    assert len(run.images) == 5


def test_noise_between_has_the_length_of_noise(pipeline):
    z_t = pipeline.interpolation(seeds=[4, 5], num_frames=9).trajectory[0].z_t.flatten(1)
    lengths = z_t.norm(dim=1)
    assert lengths.min() > 0.95 * lengths[[0, 8]].min()
    steps = (z_t[1:] - z_t[:-1]).norm(dim=1)
    assert steps.max() < 1.2 * steps.min()


def test_with_one_prompt_only_the_noise_changes_and_with_one_seed_only_the_prompt(pipeline):
    same = pipeline.interpolation(seeds=[4, 4], prompt="a star", num_frames=3)
    assert len({image.tobytes() for image in same.images}) == 1
    moved = pipeline.interpolation(seeds=[4, 4], prompt="a star", other_prompt="a red circle", num_frames=3)
    assert torch.equal(moved.trajectory[0].z_t[0], moved.trajectory[0].z_t[2])
    assert len({image.tobytes() for image in moved.images}) == 3


def test_classes_and_models_without_a_condition(class_model, unconditional_model):
    run = Pipeline(class_model).interpolation(label="circle", other_label="star", num_frames=3, num_steps=2)
    assert len({image.tobytes() for image in run.images}) == 3
    assert len(Pipeline(unconditional_model).interpolation(num_frames=3, num_steps=2).images) == 3


def test_files_are_frames(pipeline, tmp_path):
    run = pipeline.interpolation(num_frames=3)
    names = {path.name for path in run.save(tmp_path).iterdir()}
    assert {"frame-00.png", "frame-01.png", "frame-02.png", "grid.png"} <= names
    assert repr(run) == "Run('interpolation', 3 images)"
    assert run.strip(2).height == 20


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"seeds": [1]}, "there are 1 seeds and 0 pictures; .* so give 2 seeds"),
        ({"num_frames": 1}, "num_frames is 1; it must be from 2 to 64"),
        ({"other_label": "star"}, "label is 'star', but this model is conditioned on text"),
    ],
)
def test_other_values_are_refused(pipeline, values, message):
    with pytest.raises(RequestError, match=message):
        pipeline.interpolation(**values)
