import numpy as np
import pytest
import torch
from PIL import Image

from ldm_lab.core.errors import ImageError, RequestError
from ldm_lab.tasks import ImageToImageSettings, Pipeline
from ldm_lab.tasks.from_picture import nearest_size

EVERY_SAMPLER = ["ddim", "dpm++2m", "euler-a", "heun"]


@pytest.fixture(scope="module")
def pipeline(tiny_model):
    return Pipeline(tiny_model, defaults={"num_steps": 4, "sampler": "ddim"})


def test_strength_0_is_the_reconstruction(pipeline, picture):
    run = pipeline.image_to_image(picture, prompt="a star", strength=0.0, seeds=[1, 2])
    (expected,) = pipeline.decode(pipeline.encode(picture))
    assert [image.tobytes() for image in run.images] == [expected.tobytes()] * 2
    assert run.trajectory == ()
    assert run.strip().size == (16, 16)


@pytest.mark.parametrize("sampler", EVERY_SAMPLER)
def test_strength_1_is_generation(pipeline, picture, sampler):
    run = pipeline.image_to_image(picture, prompt="a star", strength=1.0, seeds=[1, 2], sampler=sampler)
    expected = pipeline.text_to_image("a star", seeds=[1, 2], sampler=sampler)
    assert [image.tobytes() for image in run.images] == [image.tobytes() for image in expected.images]


def test_less_strength_stays_closer_to_the_picture(pipeline, picture):
    z_0 = pipeline.encode(picture)
    runs = [pipeline.image_to_image(picture, strength=strength, seeds=range(4)) for strength in (0.25, 0.5, 1.0)]
    gaps = [(run.trajectory[-1].z_next - z_0).abs().mean() for run in runs]
    assert gaps[0] < gaps[1] < gaps[2]
    assert [len(run.trajectory) for run in runs] == [1, 2, 4]


def test_the_first_step_sees_the_picture_diffused(pipeline, picture, tiny_model):
    run = pipeline.image_to_image(picture, strength=0.5, seeds=[3])
    first = run.trajectory[0]
    abar = tiny_model.schedule.alphas_cumprod[first.t]
    noise = pipeline.text_to_image("", seeds=[3]).trajectory[0].z_t
    expected = abar.sqrt() * pipeline.encode(picture) + (1 - abar).sqrt() * noise
    torch.testing.assert_close(first.z_t, expected.float(), atol=1e-5, rtol=0)


class TestTheCondition:
    def test_of_a_class_model_is_the_label(self, class_model, picture):
        pipeline = Pipeline(class_model, defaults={"num_steps": 2, "sampler": "ddim"})
        run = pipeline.image_to_image(picture, label="star", strength=1.0)
        assert run.images[0].tobytes() == pipeline.class_to_image("star").images[0].tobytes()

    def test_an_unconditional_model_needs_none(self, unconditional_model, picture):
        pipeline = Pipeline(unconditional_model, defaults={"num_steps": 2, "sampler": "ddim"})
        run = pipeline.image_to_image(picture, strength=1.0)
        assert run.images[0].tobytes() == pipeline.unconditional().images[0].tobytes()

    @pytest.mark.parametrize(
        ("model", "wish", "message"),
        [
            ("tiny_model", {"label": "star"}, "label is 'star', but this model is conditioned on text; leave it out"),
            ("class_model", {"prompt": "a star"}, "prompt is 'a star', but this model is conditioned on class labels"),
            (
                "unconditional_model",
                {"negative_prompt": "x"},
                "negative_prompt is 'x', but this model is unconditional",
            ),
            ("inpainting_model", {}, r"needs a model that is conditioned on text \(shapes-text\) or .*; this one is"),
        ],
    )
    def test_what_the_model_cannot_read_is_refused(self, request, picture, model, wish, message):
        with pytest.raises(RequestError, match=message):
            Pipeline(request.getfixturevalue(model)).image_to_image(picture, **wish)


class TestThePicture:
    def test_is_scaled_and_cut_if_a_size_is_asked_for(self, pipeline):
        wide = Image.fromarray(np.random.default_rng(0).integers(0, 256, (20, 60, 3), dtype=np.uint8))
        run = pipeline.image_to_image(wide, strength=0.5, width=16, height=16)
        assert run.settings.image.size == (16, 16)
        assert run.images[0].size == (16, 16)
        assert run.notes[0] == "the picture of 60 x 20 pixels was scaled and cut to 16 x 16"

    def test_keeps_its_size_otherwise(self, pipeline):
        run = pipeline.image_to_image(Image.new("RGB", (24, 16)), prompt="a star", strength=0.5)
        assert run.images[0].size == (24, 16)
        assert run.notes == ()

    def test_of_a_size_that_does_not_fit_is_refused_with_the_nearest(self, pipeline):
        with pytest.raises(RequestError, match="width is 18; it must be a multiple of 4, the nearest is 16 or 20"):
            pipeline.image_to_image(Image.new("RGB", (18, 16)))

    def test_that_cannot_be_read_is_named(self, pipeline):
        with pytest.raises(ImageError, match="'none.png' cannot be read"):
            pipeline.image_to_image("none.png")

    def test_is_needed(self):
        with pytest.raises(RequestError, match="needs a value for image"):
            ImageToImageSettings.of(strength=0.5)

    @pytest.mark.parametrize("strength", [-0.1, 1.1, float("nan"), "1", True])
    def test_strength_out_of_range_is_named(self, pipeline, picture, strength):
        with pytest.raises(RequestError, match=f"strength is {strength!r}"):
            pipeline.image_to_image(picture, strength=strength)


@pytest.mark.parametrize(
    ("size", "nearest"), [((64, 48), (64, 48)), ((23, 17), (24, 16)), ((3, 9), (8, 8)), ((4096, 1000), (1024, 248))]
)
def test_the_nearest_size_is_a_multiple_and_within_limits(size, nearest):
    assert nearest_size(*size, multiple=8) == nearest
