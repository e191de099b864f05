import re

import pytest
import torch

from ldm_lab.core.errors import RequestError
from ldm_lab.tasks import Pipeline


@pytest.fixture(scope="module")
def pipeline(make_tiny_model):
    """Of v: weights drawn at random are a steep eps, for which the iteration does not settle."""
    return Pipeline(make_tiny_model(prediction="v"), defaults={"num_steps": 6})


def test_the_way_back_ends_at_the_picture_s_latent(pipeline, picture):
    run = pipeline.inversion(picture, prompt="a star", num_iterations=30)
    torch.testing.assert_close(run.trajectory[-1].z_next, pipeline.encode(picture), atol=2e-3, rtol=0)
    mean, most = re.search(r"by ([\d.]+) of 255 levels on average and (\d+) at most", run.notes[-1]).groups()
    assert float(mean) < 0.2
    assert int(most) <= 2


def test_more_iterations_come_closer(pipeline, picture):
    z_0 = pipeline.encode(picture)
    runs = [pipeline.inversion(picture, num_iterations=n) for n in (1, 3, 9)]
    gaps = [(run.trajectory[-1].z_next - z_0).abs().mean() for run in runs]
    assert gaps[0] > gaps[1] > gaps[2]


def test_the_two_ways_meet_in_the_noise(pipeline, picture):
    run = pipeline.inversion(picture, num_iterations=2)
    assert len(run.trajectory) == 2 * 6 + 6
    up, down = run.trajectory[11], run.trajectory[12]
    assert (down.index, down.t) == (0, up.t)
    torch.testing.assert_close(down.z_t, up.z_next)
    assert (run.settings.sampler, run.settings.guidance_scale) == ("ddim", 1.0)


def test_stopping_on_the_way_up_is_partial(pipeline, picture):
    run = pipeline.carry_out(pipeline.inversion(picture).settings, on_step=lambda step: False)
    assert run.partial
    assert len(run.trajectory) == 1


@pytest.mark.parametrize(
    ("values", "message"),
    [({"sampler": "heun"}, "sampler is 'heun'; choose one of ddim"), ({"num_iterations": 0}, "num_iterations is 0")],
)
def test_other_values_are_refused(pipeline, picture, values, message):
    with pytest.raises(RequestError, match=message):
        pipeline.inversion(picture, **values)
