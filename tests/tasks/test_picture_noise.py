"""Variation and interpolation that begin with pictures: their noise, and the way back from it."""

import re

import numpy as np
import pytest
import torch
from PIL import Image

from ldm_lab.api import open_run
from ldm_lab.core.config import from_dict, to_dict
from ldm_lab.core.errors import RequestError
from ldm_lab.sampling import slerp
from ldm_lab.tasks import InterpolationSettings, Pipeline, VariationSettings

STEPS, ITERATIONS = 4, 5
UP = STEPS * ITERATIONS


@pytest.fixture(scope="module")
def pipeline(make_tiny_model):
    """Of v: weights drawn at random are a steep eps, for which the iteration does not settle."""
    return Pipeline(make_tiny_model(prediction="v"), defaults={"num_steps": STEPS, "guidance_scale": 3.0})


@pytest.fixture(scope="module")
def other():
    return Image.fromarray(np.random.default_rng(1).integers(0, 256, (16, 16, 3), dtype=np.uint8))


def back(pipeline, picture, prompt):
    """The noise of a picture, and where the walk down from it ends."""
    run = pipeline.inversion(picture, prompt=prompt, num_iterations=ITERATIONS)
    return run.trajectory[UP].z_t, run.trajectory[-1].z_next, run.images[0]


class TestInterpolation:
    def test_the_ends_are_the_reconstructions_of_the_pictures(self, pipeline, picture, other):
        asked = {"prompt": "a star", "other_prompt": "a red circle", "num_iterations": ITERATIONS}
        run = pipeline.interpolation(image=picture, other_image=other, num_frames=3, **asked)
        start, end = run.trajectory[2 * UP].z_t, run.trajectory[-1].z_next
        for place, (source, prompt) in ((0, (picture, "a star")), (2, (other, "a red circle"))):
            noise, z_0, image = back(pipeline, source, prompt)
            assert torch.equal(start[place], noise[0])
            torch.testing.assert_close(end[place], z_0[0], atol=1e-5, rtol=0)  # three frames at once, and one
            gap = np.abs(np.asarray(run.images[place]).astype(int) - np.asarray(image))
            assert gap.max() <= 1
        assert torch.equal(start[1:2], slerp(start[:1], start[2:], 0.5))

    def test_each_end_has_its_error_in_a_note(self, pipeline, picture, other):
        run = pipeline.interpolation(image=picture, other_image=other, num_frames=2, num_iterations=30)
        for name, frame, source in (("first", 0, picture), ("last", 1, other)):
            (note,) = [note for note in run.notes if f"the {name} frame is the walk back" in note]
            mean, most = re.search(r"by ([\d.]+) of 255 levels on average and (\d+) at most", note).groups()
            reconstruction = np.asarray(pipeline.decode(pipeline.encode(source))[0]).astype(int)
            gap = np.abs(np.asarray(run.images[frame]) - reconstruction)
            assert (float(mean), int(most)) == (pytest.approx(gap.mean(), abs=0.006), gap.max())
            assert gap.mean() < 0.5

    @pytest.mark.parametrize("place", [0, 1])
    def test_one_end_may_be_a_seed(self, pipeline, picture, place):
        end = {"image": picture} if place == 0 else {"other_image": picture}
        run = pipeline.interpolation(seeds=[7], num_frames=2, num_iterations=ITERATIONS, **end)
        start = run.trajectory[UP].z_t
        seed_s = pipeline.text_to_image("", seeds=[7]).trajectory[0].z_t
        assert torch.equal(start[place], back(pipeline, picture, "")[0][0])
        assert torch.equal(start[1 - place], seed_s[0])
        assert len([note for note in run.notes if "walk back" in note]) == 1

    def test_seeds_that_nobody_named_are_the_first_ones(self, pipeline, picture, other):
        def seeds(**ends):
            return pipeline.resolved(InterpolationSettings.of(**ends)).seeds

        assert seeds() == (0, 1)
        assert seeds(image=picture) == seeds(other_image=picture) == (0,)
        assert seeds(image=picture, other_image=other) == ()

    def test_while_the_noise_is_sought_every_frame_shows_its_picture(self, pipeline, picture, other):
        run = pipeline.interpolation(image=picture, other_image=other, num_frames=3, num_iterations=2)
        assert len(run.trajectory) == run.settings.length == STEPS * 5
        for step in run.trajectory[: STEPS * 4]:
            assert torch.equal(step.z_t, step.z_t[:1].expand(3, -1, -1, -1))
        halted = pipeline.carry_out(run.settings, on_step=lambda step: False)
        assert halted.partial
        assert len({image.tobytes() for image in halted.images}) == 1

    def test_the_last_picture_is_brought_to_the_size_of_the_first(self, pipeline, picture):
        wide = Image.new("RGB", (40, 20), (200, 30, 30))
        run = pipeline.interpolation(image=picture, other_image=wide, num_frames=2)
        assert {image.size for image in run.images} == {(16, 16)}
        assert run.notes.count("the picture of 40 x 20 pixels was scaled and cut to 16 x 16") == 1

    @pytest.mark.parametrize(("count", "wanted"), [(1, 0), (2, 0)])
    def test_a_seed_too_many_is_refused(self, pipeline, picture, other, count, wanted):
        with pytest.raises(RequestError, match=f"there are {count} seeds and 2 pictures; .* so give {wanted} seeds"):
            pipeline.interpolation(image=picture, other_image=other, seeds=range(count))

    def test_two_seeds_beside_a_picture_are_refused(self, pipeline, picture):
        with pytest.raises(RequestError, match="there are 2 seeds and 1 pictures; .* so give 1 seeds"):
            pipeline.interpolation(image=picture, seeds=[1, 2])


class TestVariation:
    def test_amount_0_is_the_reconstruction_of_the_picture(self, pipeline, picture):
        run = pipeline.variation(image=picture, amount=0.0, prompt="a star", seeds=[1, 2], num_iterations=ITERATIONS)
        noise, z_0, _ = back(pipeline, picture, "a star")
        assert torch.equal(run.trajectory[UP].z_t, noise.repeat(2, 1, 1, 1))
        torch.testing.assert_close(run.trajectory[-1].z_next, z_0.repeat(2, 1, 1, 1), atol=1e-5, rtol=0)
        assert re.search(r"amount is 0: .* by [\d.]+ of 255 levels on average and \d+ at most", run.notes[-1])

    def test_more_is_farther_and_every_seed_goes_another_way(self, pipeline, picture):
        noise = back(pipeline, picture, "")[0]
        gaps = []
        for amount in (0.1, 0.4, 1.0):
            run = pipeline.variation(image=picture, amount=amount, seeds=[1, 2], num_iterations=ITERATIONS)
            start = run.trajectory[UP].z_t
            gaps.append((start - noise).norm())
            assert (start[0] - start[1]).norm() > 0.1
            assert not any("amount" in note for note in run.notes)
        assert gaps[0] < gaps[1] < gaps[2]

    def test_the_picture_decides_size_sampler_and_guidance(self, pipeline):
        settings = VariationSettings.of(image=Image.new("RGB", (24, 32)))
        resolved = pipeline.resolved(settings)
        assert (resolved.width, resolved.height) == (24, 32)
        assert (resolved.sampler, resolved.guidance_scale) == ("ddim", 1.0)
        assert pipeline.resolved(VariationSettings.of(of_seed=3)).guidance_scale == 3.0
        assert (
            pipeline.resolved(VariationSettings.of(image=Image.new("RGB", (8, 8)), guidance_scale=2)).guidance_scale
            == 2
        )

    def test_a_saved_picture_makes_the_run_again(self, pipeline, picture, tmp_path):
        run = pipeline.variation(image=picture, seeds=[3])
        run.images[0].save(tmp_path / "x.png")
        opened = open_run(tmp_path / "x.png", model=pipeline)
        assert opened.settings == run.settings
        assert opened.images[0].tobytes() == run.images[0].tobytes()
        assert run.strip(0).height == 20

    def test_settings_survive_json(self, pipeline, picture):
        settings = pipeline.resolved(VariationSettings.of(image=picture, amount=0.2))
        assert from_dict(VariationSettings, to_dict(settings)) == settings

    @pytest.mark.parametrize(
        ("values", "message"),
        [
            ({}, "of_seed is None and image is None; give one of them"),
            ({"of_seed": 3, "image": "picture"}, r"of_seed is 3 and image is Picture\(16 x 16, .*; give one of them"),
            ({"image": "picture", "sampler": "heun"}, "sampler is 'heun', but only ddim leads back from the noise"),
            ({"of_seed": 3, "num_iterations": 0}, "num_iterations is 0; it must be from 1 to 100"),
        ],
    )
    def test_what_cannot_be_varied_is_named(self, pipeline, picture, values, message):
        given = {name: picture if value == "picture" else value for name, value in values.items()}
        with pytest.raises(RequestError, match=message):
            pipeline.variation(**given)
