import pytest
import torch

from ldm_lab.core.errors import RequestError
from ldm_lab.tasks import Pipeline


@pytest.fixture(scope="module")
def pipeline(upscaling_model):
    return Pipeline(upscaling_model, defaults={"num_steps": 2, "sampler": "ddim"})


def test_images_are_larger_by_the_model_s_factor(pipeline, picture):
    run = pipeline.super_resolution(picture, seeds=[1, 2])
    assert [image.size for image in run.images] == [(32, 32)] * 2
    assert run.trajectory[0].z_t.shape == (2, 3, 16, 16)
    assert pipeline.super_resolution(picture, width=8, height=12).images[0].size == (16, 24)


def test_every_pixel_of_the_small_picture_counts(pipeline, picture):
    other = picture.copy()
    other.putpixel((15, 0), tuple(255 - value for value in picture.getpixel((15, 0))))
    first, second = (pipeline.super_resolution(image).trajectory[-1].z_next for image in (picture, other))
    assert (first - second).abs().max() > 1e-4


def test_patches_see_their_part_of_it(pipeline, picture):
    whole, patches, one = (pipeline.super_resolution(picture, patch_size=size) for size in (None, 16, 32))
    assert torch.equal(one.trajectory[-1].z_next, whole.trajectory[-1].z_next)
    assert patches.images[0].size == (32, 32)


def test_another_kind_of_model_is_refused(tiny_model, picture):
    with pytest.raises(RequestError, match=r"conditioned on low-resolution images \(shapes-sr4\)"):
        Pipeline(tiny_model).super_resolution(picture)
