import pytest
import torch
from PIL import Image

from ldm_lab.core.errors import RequestError
from ldm_lab.tasks import Origin, Pipeline


@pytest.fixture(scope="module")
def pipeline(tiny_model):
    return Pipeline(tiny_model, origin=Origin(name="tiny"), defaults={"num_steps": 2, "sampler": "ddim"})


def test_it_names_itself(pipeline):
    count = sum(parameter.numel() for parameter in pipeline.model.parameters())
    assert repr(pipeline) == f"Pipeline('tiny', {count:,} parameters, cpu)"
    assert pipeline.name == "tiny"


def test_its_recommendations_hold_unless_asked_otherwise(pipeline):
    assert pipeline.text_to_image("a star").settings.num_steps == 2
    assert pipeline.text_to_image("a star", num_steps=1).settings.num_steps == 1
    assert pipeline.settings("a star", seeds=5).seeds == (5,)


def test_the_origin_goes_on_record(pipeline):
    assert pipeline.text_to_image("a star").provenance.model == Origin(name="tiny")


def test_streaming_and_making_agree(pipeline):
    steps = list(pipeline.stream("a star", seeds=[3]))
    run = pipeline.text_to_image("a star", seeds=[3])
    assert torch.equal(steps[-1].z_next, run.trajectory[-1].z_next)


def test_encode_and_decode_take_and_give_pictures(pipeline):
    z = pipeline.encode(Image.new("RGB", (16, 24), (255, 0, 0)))
    assert z.shape == (1, 3, 12, 8)
    assert not z.requires_grad
    (image,) = pipeline.decode(z)
    assert image.size == (16, 24)


def test_unknown_settings_are_named(pipeline):
    with pytest.raises(RequestError, match="no field step"):
        pipeline.text_to_image("a star", step=3)


@pytest.mark.parametrize("defaults", [{"num_steps": 0}, {"magic": 1}, {"guidance_scale": "4"}])
def test_recommendations_are_checked(tiny_model, defaults):
    with pytest.raises(RequestError, match=next(iter(defaults))):
        Pipeline(tiny_model, defaults=defaults)
