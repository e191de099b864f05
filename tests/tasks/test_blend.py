import pytest
import torch

from ldm_lab.core.errors import RequestError
from ldm_lab.core.seeding import sample_noise
from ldm_lab.sampling import circle, slerp
from ldm_lab.tasks import BlendSettings, PastedLatent, Pipeline
from ldm_lab.tasks.blend import blended_noise, places_on

SHAPE = (3, 8, 8)
COMMON = {"num_steps": 2, "sampler": "ddim", "guidance_scale": 2.0}


@pytest.fixture
def pipeline(tiny_model):
    return Pipeline(tiny_model)


def noise(seed):
    return sample_noise(SHAPE, [seed])


def at(**values):
    return blended_noise(SHAPE, BlendSettings.of(**values))


def test_at_an_anchor_lies_its_image(pipeline):
    alone = pipeline.text_to_image("a star", seeds=[7], **COMMON)
    for place in ({"seeds": [7, 8], "across": 0.0}, {"seeds": [1, 2, 3, 7], "across": 1.0, "down": 1.0}):
        blended = pipeline.blend(prompt="a star", **place, **COMMON)
        assert blended.images[0].tobytes() == alone.images[0].tobytes()
        assert len(blended.images) == 1


def test_between_them_lies_neither(pipeline):
    images = [pipeline.blend(prompt="a star", across=share, **COMMON).images[0].tobytes() for share in (0.0, 0.5, 1.0)]
    assert len(set(images)) == 3


def test_three_and_four_anchors_span_a_plane():
    across, down = 0.3, 0.6
    upper = slerp(noise(1), noise(2), across)
    assert torch.equal(at(seeds=[1, 2, 3], across=across, down=down), slerp(upper, noise(3), down))
    lower = slerp(noise(3), noise(4), across)
    assert torch.equal(at(seeds=[1, 2, 3, 4], across=across, down=down), slerp(upper, lower, down))


def test_the_straight_line_loses_length_and_the_arc_does_not():
    shape = (4, 32, 32)
    lengths = {
        way: blended_noise(shape, BlendSettings.of(way=way)).square().mean().sqrt().item() for way in ("slerp", "lerp")
    }
    assert lengths["slerp"] == pytest.approx(1.0, abs=0.05)  # 4096 numbers: 1 % one standard deviation
    assert lengths["lerp"] == pytest.approx(0.5**0.5, abs=0.05)


def test_the_circle_comes_back_and_passes_both():
    assert torch.equal(circle(noise(0), noise(1), 0.0), noise(0))
    torch.testing.assert_close(circle(noise(0), noise(1), 0.25), noise(1))
    torch.testing.assert_close(circle(noise(0), noise(1), 1.0), noise(0))


def test_every_anchor_may_have_its_sentence(pipeline):
    prompts = ["a star", "a circle"]
    last = pipeline.blend(prompts=prompts, seeds=[1, 7], across=1.0, **COMMON)
    assert last.images[0].tobytes() == pipeline.text_to_image("a circle", seeds=[7], **COMMON).images[0].tobytes()
    other = pipeline.blend(prompts=prompts, seeds=[1, 7], across=0.5, **COMMON)
    same = pipeline.blend(prompt="a star", seeds=[1, 7], across=0.5, **COMMON)
    assert other.images[0].tobytes() != same.images[0].tobytes()


def test_noise_of_a_picture_is_an_anchor(pipeline):
    found = PastedLatent.of(noise(7))
    blended = pipeline.blend(prompt="a star", seeds=[1], noises=[found], across=1.0, **COMMON)
    alone = pipeline.text_to_image("a star", seeds=[7], **COMMON)
    assert blended.images[0].tobytes() == alone.images[0].tobytes()


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"seeds": [1]}, "there are 1 anchors; give seeds and noises of 2 to 4"),
        ({"seeds": [1, 2, 3, 4, 5]}, "there are 5 anchors"),
        ({"prompts": ["a"]}, "there are 1 prompts for 2 anchors; give one each"),
        ({"way": "straight"}, "way is 'straight'"),
        ({"across": 1.5}, "across is 1.5; it must be from 0.0 to 1.0"),
    ],
)
def test_what_makes_no_blend_is_refused(values, sentence):
    with pytest.raises(RequestError, match=sentence):
        BlendSettings.of(**values)


def test_noise_of_another_shape_is_refused():
    with pytest.raises(RequestError, match=r"the noise of a picture has shape \(3, 4, 4\); images of this size need"):
        at(seeds=[1], noises=[PastedLatent.of(torch.zeros(3, 4, 4))])


def test_a_path_is_a_row_of_settings():
    settings = BlendSettings.of(seeds=[1, 2, 3, 4], across=0.2, down=0.7)
    across = places_on("across", settings, 3)
    assert [(place.across, place.down) for place in across] == [(0.0, 0.7), (0.5, 0.7), (1.0, 0.7)]
    rim = places_on("rim", settings, 5)
    assert [(round(place.across, 6), round(place.down, 6)) for place in rim] == [
        (0.0, 0.5),
        (0.5, 0.0),
        (1.0, 0.5),
        (0.5, 1.0),
        (0.0, 0.5),
    ]
    with pytest.raises(RequestError, match="path is 'spiral' with 5 frames; choose one of across, down, rim"):
        places_on("spiral", settings, 5)
