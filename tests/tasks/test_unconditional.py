import pytest
import torch

from ldm_lab.core.errors import RequestError
from ldm_lab.sampling import make_scheduler, sample_steps
from ldm_lab.tasks import Pipeline


@pytest.fixture(scope="module")
def pipeline(unconditional_model):
    return Pipeline(unconditional_model, defaults={"num_steps": 3, "guidance_scale": 7.0})


@pytest.mark.parametrize(("width", "height"), [(16, 16), (48, 20), (4, 64)])
def test_it_is_the_plain_walk_at_any_size(pipeline, unconditional_model, width, height):
    run = pipeline.unconditional(seeds=[4, 5], sampler="ddim", width=width, height=height)
    scheduler = make_scheduler("ddim", unconditional_model.config.schedule, "eps")
    walk = {"num_steps": 3, "seeds": (4, 5), "shape": (3, height // 2, width // 2)}
    *_, last = sample_steps(unconditional_model, None, scheduler, **walk)
    assert torch.equal(run.trajectory[-1].z_next, last.z_next)
    assert [image.size for image in run.images] == [(width, height)] * 2


def test_a_size_that_does_not_fit_is_refused(pipeline):
    with pytest.raises(RequestError, match="height is 30; it must be a multiple of 4, the nearest is 28 or 32"):
        pipeline.unconditional(height=30)


def test_it_has_no_guidance(pipeline):
    with pytest.raises(RequestError, match="UnconditionalSettings has no field guidance_scale"):
        pipeline.unconditional(guidance_scale=2.0)


def test_a_conditional_model_is_refused(tiny_model):
    with pytest.raises(RequestError, match=r"is unconditional \(shapes-uncond\); this one is conditioned on text"):
        Pipeline(tiny_model).unconditional()
