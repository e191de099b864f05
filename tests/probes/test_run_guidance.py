import pytest
import torch

from ldm_lab.core.errors import RequestError
from ldm_lab.probes import record_guidance, take_apart, view_guidance
from ldm_lab.probes.run_guidance import PIXEL_LIMIT
from ldm_lab.tasks import Pipeline


@pytest.fixture(scope="module")
def pipeline(make_tiny_model):
    return Pipeline(make_tiny_model())


@pytest.fixture(scope="module")
def run(pipeline):
    settings = {"seeds": [1, 2], "num_steps": 4, "sampler": "ddim", "guidance_scale": 3.0}
    return pipeline.text_to_image("a large red circle", later_prompts=[(2, "a small blue star")], **settings)


def test_it_is_what_the_walk_saw(pipeline, run):
    with record_guidance(pipeline.model) as recording:
        pipeline.carry_out(run.settings)
    for place, live in enumerate(recording.steps):
        apart = take_apart(pipeline, run, place)
        torch.testing.assert_close(apart.positive, live.positive, rtol=0, atol=1e-5)  # fp32, another batch
        torch.testing.assert_close(apart.negative, live.negative, rtol=0, atol=1e-5)
        z_0 = apart.z_0(scale=3.0)
        torch.testing.assert_close(z_0, run.trajectory[place].z_0_pred, rtol=1e-4, atol=1e-3)  # untrained: up to 200


def test_views_decode_what_each_states(pipeline, run):
    apart = take_apart(pipeline, run, 1)
    views = view_guidance(pipeline, apart, scale=3.0, image=1)
    for picture, scale in ((views.negative, 0.0), (views.positive, 1.0), (views.guided, 3.0)):
        assert picture.tobytes() == pipeline.decode(apart.z_0(scale=scale)[1:])[0].tobytes()
    torch.testing.assert_close(views.difference, apart.difference()[1].square().mean(0).sqrt())


def test_more_guidance_clips_more(pipeline, run):
    apart = take_apart(pipeline, run, 1)
    mild, strong = (view_guidance(pipeline, apart, scale=scale) for scale in (1.0, 40.0))
    assert strong.clipped_latent > mild.clipped_latent
    assert strong.clipped_latent == apart.clipped_share(scale=40.0)[0].item()


@pytest.mark.parametrize("scale", [1.0, 40.0])
def test_clipped_pixels_are_those_beyond_the_limit(pipeline, run, scale):
    apart = take_apart(pipeline, run, 1)
    with torch.no_grad():
        x = pipeline.model.decode(apart.z_0(scale=scale)[:1])
    beyond = (x > PIXEL_LIMIT) | (x < -PIXEL_LIMIT)
    assert 0 < beyond.sum() < x.numel()  # the untrained decoder leaves the range, more or less of it
    shown = view_guidance(pipeline, apart, scale=scale).clipped_pixels
    assert shown == pytest.approx(beyond.double().mean().item(), abs=2 / x.numel())  # a batch of another size rounds so


def test_what_has_no_guidance_is_refused(pipeline, run, make_tiny_model):
    with pytest.raises(RequestError, match="there is no step 4; the run was kept with 4, counted from 0"):
        take_apart(pipeline, run, 4)
    free = Pipeline(make_tiny_model(conditioner=None))
    with pytest.raises(RequestError, match="a run of unconditional has no guidance to take apart"):
        take_apart(free, free.unconditional(num_steps=2, sampler="ddim"), 0)
