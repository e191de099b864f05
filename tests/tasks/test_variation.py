import pytest

from ldm_lab.core.errors import RequestError
from ldm_lab.tasks import Pipeline


@pytest.fixture(scope="module")
def pipeline(tiny_model):
    return Pipeline(tiny_model, defaults={"num_steps": 3, "sampler": "ddim"})


@pytest.mark.parametrize("sampler", ["ddim", "dpm++2m"])
def test_amount_0_is_the_image_itself(pipeline, sampler):
    run = pipeline.variation(of_seed=7, amount=0.0, prompt="a star", seeds=[1, 2], sampler=sampler)
    image = pipeline.text_to_image("a star", seeds=[7], sampler=sampler).images[0]
    assert [each.tobytes() for each in run.images] == [image.tobytes()] * 2


def test_more_is_farther_and_every_seed_goes_another_way(pipeline):
    start = pipeline.text_to_image("a star", seeds=[7]).trajectory[0].z_t
    gaps = []
    for amount in (0.1, 0.4, 1.0):
        z_t = pipeline.variation(of_seed=7, amount=amount, prompt="a star", seeds=[1, 2]).trajectory[0].z_t
        gaps.append((z_t - start).norm())
        assert (z_t[0] - z_t[1]).norm() > 0.1
    assert gaps[0] < gaps[1] < gaps[2]


@pytest.mark.parametrize("amount", [-0.1, 1.1])
def test_an_amount_out_of_range_is_named(pipeline, amount):
    with pytest.raises(RequestError, match=f"amount is {amount}"):
        pipeline.variation(amount=amount)
