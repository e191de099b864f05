import numpy as np
import pytest
import torch
from PIL import Image

from ldm_lab.core.errors import RequestError, ShapeError
from ldm_lab.probes import gather_samples
from ldm_lab.tasks import Pipeline


@pytest.fixture
def pipeline(tiny_model):
    return Pipeline(tiny_model)


@pytest.fixture
def run(pipeline):
    return pipeline.text_to_image("a star", num_steps=2, sampler="ddim", seeds=[1, 2])


@pytest.fixture
def picture():
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8))


def test_runs_pictures_and_tensors_become_samples(pipeline, run, picture):
    latent = torch.randn(3, 8, 8, generator=torch.Generator().manual_seed(0))
    found = gather_samples(pipeline, [run, picture, latent, torch.stack([latent, -latent])])
    expected = torch.cat(
        [pipeline.encode(picture), run.trajectory[-1].z_next, latent[None], latent[None], -latent[None]]
    )
    torch.testing.assert_close(found.z, expected, rtol=0, atol=0)
    assert found.names == (
        "picture 1",
        "image-0-seed-1: a star",
        "image-1-seed-2: a star",
        "latent 2.0",
        "latent 3.0",
        "latent 3.1",
    )
    assert found.pictures[0].tobytes() == picture.tobytes()
    assert found.pictures[2].tobytes() == run.images[1].tobytes()
    assert {shown.size for shown in found.pictures} == {(16, 16)}


def test_of_a_run_that_was_stopped_the_prediction_is_taken(pipeline, run):
    partial = pipeline.carry_out(run.settings, on_step=lambda step: False)
    torch.testing.assert_close(gather_samples(pipeline, [partial]).z, partial.trajectory[-1].z_0_pred)


def test_many_pictures_are_encoded_part_by_part(pipeline, picture, monkeypatch):
    monkeypatch.setattr("ldm_lab.probes.samples.ENCODED_AT_ONCE", 2)
    turned = [picture.rotate(90 * quarter) for quarter in range(3)]
    torch.testing.assert_close(gather_samples(pipeline, turned).z, pipeline.encode(turned), rtol=0, atol=1e-5)


def test_what_does_not_fit_is_refused(pipeline, run):
    with pytest.raises(RequestError, match="no samples"):
        gather_samples(pipeline, [])
    with pytest.raises(ShapeError, match=r"shapes \(3, 4, 4\), \(3, 8, 8\); give samples of one shape"):
        gather_samples(pipeline, [run, torch.zeros(3, 4, 4)])
