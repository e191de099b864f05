import pytest
from PIL import Image

from ldm_lab.core.errors import ImageError
from ldm_lab.data.shape_scenes import ShapeScenes
from ldm_lab.evaluation.sheet import _wrap, captioned_sheet


def squares(*colors):
    return [Image.new("RGB", (8, 8), color) for color in colors]


def test_images_stand_in_reading_order_above_their_captions():
    sheet = captioned_sheet(squares("red", "lime", "blue"), ["a", "b", "c"], columns=2, width=50)
    bare = captioned_sheet(squares("red", "lime", "blue"), ["", "", ""], columns=2, width=50)
    places = [(30, 30), (92, 30), (30, 156)]
    assert [sheet.getpixel(place) for place in places] == [(255, 0, 0), (0, 255, 0), (0, 0, 255)]
    below = (12, 62, 62, 126)
    assert sheet.crop(below).tobytes() != bare.crop(below).tobytes()


@pytest.mark.parametrize("split", ["test", "unseen"])
def test_no_caption_of_the_built_in_world_is_cut_off(split):
    captions = ShapeScenes(split=split).captions(range(500))
    assert not any("…" in _wrap(caption.text, 192)[-1] for caption in captions)
    assert "…" in _wrap("word " * 100, 192)[-1]


@pytest.mark.parametrize("captions", [[], ["a", "b"]])
def test_numbers_that_do_not_fit_are_named(captions):
    with pytest.raises(ImageError, match=f"1 images and {len(captions)} captions"):
        captioned_sheet(squares("red"), captions)


def test_no_image_is_no_sheet():
    with pytest.raises(ImageError, match="0 images"):
        captioned_sheet([], [])
