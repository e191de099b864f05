import numpy as np
import pytest
import torch

from ldm_lab.core.errors import RequestError
from ldm_lab.tasks import Pipeline


@pytest.fixture(scope="module")
def pipeline(unconditional_model):
    return Pipeline(unconditional_model, defaults={"num_steps": 2, "sampler": "ddim"})


def test_in_one_piece_it_is_the_plain_walk(pipeline):
    large, plain = pipeline.large_image(width=48), pipeline.unconditional(width=48)
    assert large.images[0].tobytes() == plain.images[0].tobytes()


def test_one_patch_is_the_whole_and_several_are_not(pipeline):
    whole, one, several = (
        pipeline.large_image(width=32, patch_size=size).trajectory[-1].z_next for size in (None, 32, 16)
    )
    assert torch.equal(one, whole)
    assert several.shape == whole.shape
    assert not torch.allclose(several, whole, atol=1e-3)


def test_strips_are_the_plain_decoding(pipeline):
    whole, strips = (pipeline.large_image(width=64, decoding=way) for way in ("whole", "strips"))
    gap = np.abs(np.asarray(whole.images[0]).astype(int) - np.asarray(strips.images[0]))
    assert gap.max() <= 1
    assert torch.equal(whole.trajectory[-1].z_next, strips.trajectory[-1].z_next)


def test_tiles_of_a_small_image_are_the_plain_decoding(pipeline):
    whole, tiles = (pipeline.large_image(decoding=way) for way in ("whole", "tiles"))
    assert whole.images[0].tobytes() == tiles.images[0].tobytes()


def test_a_prompt_holds_for_every_patch(tiny_model):
    pipeline = Pipeline(tiny_model, defaults={"num_steps": 2, "sampler": "ddim"})
    runs = [pipeline.large_image(width=32, patch_size=16, prompt=prompt) for prompt in ("a star", "a red circle")]
    left, right = (
        (np.asarray(runs[0].images[0]) != np.asarray(runs[1].images[0])).any(axis=2).reshape(16, 2, 16).any((0, 2))
    )
    assert left
    assert right


def test_latent_scale_1_is_the_plain_walk_and_others_say_what_they_change(pipeline):
    plain, same, half = (
        pipeline.large_image(width=32, **asked) for asked in ({}, {"latent_scale": 1}, {"latent_scale": 0.5})
    )
    assert same.images[0].tobytes() == plain.images[0].tobytes()
    assert torch.equal(same.trajectory[-1].z_next, plain.trajectory[-1].z_next)
    assert half.notes == (
        "the latents are 0.5 times those of training, and the signal-to-noise ratio of every step 0.25 times",
    )
    assert not plain.notes


@pytest.mark.parametrize("decoding", ["whole", "strips", "tiles"])
def test_rescaled_latents_are_scaled_back_before_they_are_decoded(pipeline, decoding):
    run = pipeline.large_image(width=32, patch_size=16, latent_scale=2.0, decoding=decoding)
    (expected,) = pipeline.decode(run.trajectory[-1].z_next / 2.0)
    assert np.abs(np.asarray(run.images[0]).astype(int) - np.asarray(expected)).max() <= 1


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"latent_scale": 0.0}, "latent_scale is 0.0; it must be from 0.1 to 10.0"),
        ({"patch_size": 18}, "patch_size is 18: .* must be a multiple of 4, the nearest is 16 or 20"),
        ({"patch_overlap": 1.0}, "patch_overlap is 1.0; it must be from 0.0 to 0.9"),
        ({"decoding": "magic"}, "decoding is 'magic'; choose one of whole, strips, tiles"),
        ({"width": 4100}, "width is 4100; it must be from 1 to 4096"),
    ],
)
def test_other_values_are_refused(pipeline, values, message):
    with pytest.raises(RequestError, match=message):
        pipeline.large_image(**values)
